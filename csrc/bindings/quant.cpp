#include <pybind11/stl.h>

#include <optional>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/gil.h"
#include "core/thread_pool.h"
#include "quant/calibrate.h"
#include "quant/interleaved.h"
#include "quant/quantize.h"
#include "quant/stored_scales.h"

namespace py = pybind11;

namespace ggmlkit {
namespace {

void dequantize_into(std::size_t index, const ByteArray& src, FloatArray dst, int threads) {
  const Type type = type_at(index);
  const auto n = static_cast<std::size_t>(dst.size());
  check_size(type, 1, n, src);
  if (!can_dequantize(type)) throw py::value_error("no kernel for this type");
  const std::byte* in = bytes_of(src);
  float* out = dst.mutable_data();
  const ReleasedGil release;
  dequantize(type, in, out, n, ThreadPool::shared(), threads);
}

std::ptrdiff_t convert_into(std::size_t from, const ByteArray& src, std::size_t to, ByteArray dst,
                            int threads) {
  const Type source = type_at(from);
  const Type target = type_at(to);
  const auto blocks = static_cast<std::size_t>(dst.size()) / info(target).block_bytes;
  const std::size_t n = blocks * info(target).block_size;
  check_size(target, 1, n, dst);
  check_size(source, 1, n, src);
  if (!can_dequantize(source) || !can_quantize(target)) {
    throw py::value_error("no kernel for this type");
  }
  const std::byte* in = bytes_of(src);
  auto* out = reinterpret_cast<std::byte*>(dst.mutable_data());
  const ReleasedGil release;
  return convert(source, in, target, out, n, ThreadPool::shared(), threads);
}

std::ptrdiff_t convert_weighted_into(std::size_t from, const ByteArray& src, std::size_t to,
                                     ByteArray dst, const FloatArray& importance, int threads) {
  const Type source = type_at(from);
  const Type target = type_at(to);
  const auto cols = static_cast<std::size_t>(importance.size());
  if (cols == 0 || cols % info(target).block_size != 0) {
    throw py::value_error("rows are not whole blocks");
  }
  const std::size_t rows = static_cast<std::size_t>(dst.size()) / row_bytes(target, cols);
  check_size(target, rows, cols, dst);
  check_size(source, rows, cols, src);
  if (!can_dequantize(source) || !takes_importance(target)) {
    throw py::value_error("no kernel for this type");
  }
  const std::byte* in = bytes_of(src);
  auto* out = reinterpret_cast<std::byte*>(dst.mutable_data());
  const float* weights = importance.data();
  const ReleasedGil release;
  return convert_weighted(source, in, target, out, rows, cols, weights, ThreadPool::shared(),
                          threads);
}

// Columns may change places within the group of a scale, groups of a block within it, and blocks.
void check_order(Type type, const std::uint32_t* order, std::size_t cols) {
  const std::size_t size = info(type).block_size;
  std::vector<bool> seen(cols, false);
  for (std::size_t p = 0; p < cols; ++p) {
    const std::size_t column = order[p];
    const std::size_t first = order[p / size * size];
    if (column >= cols || seen[column] || column / size != first / size ||
        column / scale_group(type) % (size / scale_group(type)) !=
            p / scale_group(type) % (size / scale_group(type))) {
      throw py::value_error("the order takes blocks apart");
    }
    seen[column] = true;
  }
}

using IndexArray = py::array_t<std::uint32_t, py::array::c_style>;

// A square matrix of that many columns; null for None.
const float* square_of(const std::optional<FloatArray>& matrix, std::size_t cols) {
  if (!matrix) return nullptr;
  if (static_cast<std::size_t>(matrix->size()) != cols * cols) {
    throw py::value_error("a matrix is not as wide as the weights");
  }
  return matrix->data();
}

std::ptrdiff_t calibrate_into(std::size_t to, const FloatArray& weights, ByteArray dst,
                              const IndexArray& order, const FloatArray& diagonal,
                              const std::optional<FloatArray>& upper,
                              const std::optional<FloatArray>& hessian, int passes, int threads) {
  const Type target = type_at(to);
  const auto cols = static_cast<std::size_t>(order.size());
  if (cols == 0 || cols % info(target).block_size != 0 ||
      static_cast<std::size_t>(diagonal.size()) != cols) {
    throw py::value_error("rows are not whole blocks");
  }
  const std::size_t rows = static_cast<std::size_t>(weights.size()) / cols;
  if (static_cast<std::size_t>(weights.size()) != rows * cols) {
    throw py::value_error("weights are not whole rows");
  }
  check_size(target, rows, cols, dst);
  if (!can_calibrate(target)) throw py::value_error("no kernel for this type");
  check_order(target, order.data(), cols);
  const CalibratedMatrix matrix{
      weights.data(),           rows,  cols, order.data(), diagonal.data(), square_of(upper, cols),
      square_of(hessian, cols), passes};
  auto* out = reinterpret_cast<std::byte*>(dst.mutable_data());
  const ReleasedGil release;
  return calibrate(target, matrix, out, ThreadPool::shared(), threads);
}

std::ptrdiff_t first_not_finite_of(const ByteArray& halves) {
  const std::size_t n = static_cast<std::size_t>(halves.size()) / 2;
  const std::byte* in = bytes_of(halves);
  const ReleasedGil release;
  const std::size_t found = first_not_finite_half(in, n);
  return found == n ? -1 : static_cast<std::ptrdiff_t>(found);
}

void put_in_row_order_into(const ByteArray& src, ByteArray dst, std::size_t rows, std::size_t piece,
                           std::uint8_t flipped, bool swapped, std::size_t blocks) {
  const InterleavedLayout layout{rows, piece, flipped, swapped};
  if (!is_interleaving(layout) || blocks == 0) throw py::value_error("no such layout");
  const auto bytes = static_cast<std::size_t>(src.size());
  const std::size_t group_bytes = rows * blocks * kNibbleBlockBytes;
  if (blocks > bytes || bytes % group_bytes != 0 || src.size() != dst.size()) {
    throw py::value_error("the bytes are not whole groups of rows");
  }
  const std::byte* in = bytes_of(src);
  auto* out = reinterpret_cast<std::byte*>(dst.mutable_data());
  const ReleasedGil release;
  put_in_row_order(layout, in, out, bytes / group_bytes, blocks);
}

}  // namespace

void bind_quant(py::module_& m) {
  // noconvert: a converted copy of an output array would be written and discarded.
  m.def("dequantize", &dequantize_into, py::arg("type"), py::arg("src"), py::arg("dst").noconvert(),
        py::arg("threads"));
  m.def("convert", &convert_into, py::arg("source"), py::arg("src"), py::arg("target"),
        py::arg("dst").noconvert(), py::arg("threads"),
        "Returns -1, or the index of the first value that the target type can't hold.");
  m.def("convert_weighted", &convert_weighted_into, py::arg("source"), py::arg("src"),
        py::arg("target"), py::arg("dst").noconvert(), py::arg("importance").noconvert(),
        py::arg("threads"), "The same for rows as long as `importance`.");
  m.def(
      "can_calibrate", [](std::size_t type) { return can_calibrate(type_at(type)); },
      py::arg("type"));
  m.def(
      "scale_group", [](std::size_t type) { return scale_group(type_at(type)); }, py::arg("type"),
      "Columns that share a scale.");
  m.def("calibrate", &calibrate_into, py::arg("target"), py::arg("weights").noconvert(),
        py::arg("dst").noconvert(), py::arg("order").noconvert(), py::arg("diagonal").noconvert(),
        py::arg("upper").noconvert().none(true), py::arg("hessian").noconvert().none(true),
        py::arg("passes"), py::arg("threads"),
        "Rounds rows as long as `order`; returns what `convert` does. See quant/calibrate.h.");
  m.def("first_not_finite_half", &first_not_finite_of, py::arg("halves"),
        "Returns -1, or the index of the first float16 number that is not finite.");
  m.def("put_in_row_order", &put_in_row_order_into, py::arg("src"), py::arg("dst").noconvert(),
        py::arg("rows"), py::arg("piece"), py::arg("flipped"), py::arg("swapped"),
        py::arg("blocks"),
        "Converts groups of interleaved rows to rows in order; a row has `blocks` blocks.");
}

}  // namespace ggmlkit
