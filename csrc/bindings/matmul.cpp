#include "quant/matmul.h"
#include "bindings/bindings.h"
#include "core/thread_pool.h"

namespace py = pybind11;

namespace ggmlkit {
namespace {

void matmul_into(std::size_t index, const ByteArray& data, std::size_t rows, std::size_t cols,
                 const FloatArray& x, FloatArray y, int threads) {
  const Type type = type_at(index);
  check_size(type, rows, cols, data);
  if (x.ndim() != 2 || y.ndim() != 2 || x.shape(0) != y.shape(0) ||
      static_cast<std::size_t>(x.shape(1)) != cols ||
      static_cast<std::size_t>(y.shape(1)) != rows) {
    throw py::value_error("x must be (n, cols) and y (n, rows)");
  }
  const auto tokens = static_cast<std::size_t>(x.shape(0));
  const std::byte* in = bytes_of(data);
  const float* a = x.data();
  float* out = y.mutable_data();
  py::gil_scoped_release release;
  ThreadPool& pool = ThreadPool::shared();
  Arena arena;
  const WeightMatrix w(type, rows, cols, in, arena, pool, threads, Packing::at_use);
  matmul(w, a, tokens, out, pool, threads);
}

}  // namespace

void bind_matmul(py::module_& m) {
  m.def("matmul", &matmul_into, py::arg("type"), py::arg("data"), py::arg("rows"), py::arg("cols"),
        py::arg("x"), py::arg("y").noconvert(), py::arg("threads"));
}

}  // namespace ggmlkit
