#include "quant/matmul.h"

#include <utility>

#include "bindings/bindings.h"
#include "bindings/gil.h"
#include "core/arena.h"
#include "core/thread_pool.h"

namespace py = pybind11;

namespace ggmlkit {
namespace {

void check_operands(std::size_t rows, std::size_t cols, const FloatArray& x, const FloatArray& y) {
  if (x.ndim() != 2 || y.ndim() != 2 || x.shape(0) != y.shape(0) ||
      static_cast<std::size_t>(x.shape(1)) != cols ||
      static_cast<std::size_t>(y.shape(1)) != rows) {
    throw py::value_error("x must be (n, cols) and y (n, rows)");
  }
}

// Weights packed once, and the array that holds float weights.
class PackedMatrix {
 public:
  PackedMatrix(std::size_t index, ByteArray data, std::size_t rows, std::size_t cols, int threads)
      : data_(std::move(data)) {
    const Type type = type_at(index);
    check_size(type, rows, cols, data_);
    const std::byte* in = bytes_of(data_);
    {
      const ReleasedGil release;
      weights_ = WeightMatrix(type, rows, cols, in, arena_);
      pack({&weights_}, ThreadPool::shared(), threads);
    }
    if (weights_.file_data() == nullptr) data_ = ByteArray();
  }

  std::size_t nbytes() const { return weights_.nbytes(); }

  void multiply(const FloatArray& x, FloatArray y, int threads) const {
    check_operands(weights_.rows(), weights_.cols(), x, y);
    const auto tokens = static_cast<std::size_t>(x.shape(0));
    const float* a = x.data();
    float* out = y.mutable_data();
    const ReleasedGil release;
    matmul(weights_, a, tokens, out, ThreadPool::shared(), threads);
  }

 private:
  ByteArray data_;
  Arena arena_;
  WeightMatrix weights_;
};

void matmul_into(std::size_t index, const ByteArray& data, std::size_t rows, std::size_t cols,
                 const FloatArray& x, FloatArray y, int threads) {
  const Type type = type_at(index);
  check_size(type, rows, cols, data);
  check_operands(rows, cols, x, y);
  const auto tokens = static_cast<std::size_t>(x.shape(0));
  const std::byte* in = bytes_of(data);
  const float* a = x.data();
  float* out = y.mutable_data();
  const ReleasedGil release;
  ThreadPool& pool = ThreadPool::shared();
  Arena arena;
  WeightMatrix w(type, rows, cols, in, arena, Packing::at_use);
  pack({&w}, pool, threads);
  matmul(w, a, tokens, out, pool, threads);
}

}  // namespace

void bind_matmul(py::module_& m) {
  m.def("matmul", &matmul_into, py::arg("type"), py::arg("data"), py::arg("rows"), py::arg("cols"),
        py::arg("x"), py::arg("y").noconvert(), py::arg("threads"));
  py::class_<PackedMatrix>(m, "PackedMatrix")
      .def(py::init<std::size_t, ByteArray, std::size_t, std::size_t, int>(), py::arg("type"),
           py::arg("data"), py::arg("rows"), py::arg("cols"), py::arg("threads"))
      .def_property_readonly("nbytes", &PackedMatrix::nbytes)
      .def("matmul", &PackedMatrix::multiply, py::arg("x"), py::arg("y").noconvert(),
           py::arg("threads"));
}

}  // namespace ggmlkit
