#include "quant/weight_matrix.h"

#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/packed.h"
#include "quant/quantize.h"

namespace ggmlkit {
namespace {

const TypeKernels& kernels(Type type) { return active().types[static_cast<std::size_t>(type)]; }

bool is_float(Type type) { return type == Type::f32 || type == Type::f16 || type == Type::bf16; }

}  // namespace

WeightMatrix::WeightMatrix(Type type, std::size_t rows, std::size_t cols, const std::byte* data,
                           Arena& arena, ThreadPool& pool, int threads, Packing packing)
    : type_(type), rows_(rows), cols_(cols), float_type_(type) {
  const TypeInfo& t = info(type);
  if (!can_dequantize(type) || cols % t.block_size != 0) {
    throw std::invalid_argument(std::string("no matmul for ") + t.name + " rows of " +
                                std::to_string(cols));
  }
  if (kernels(type).pack != nullptr) {
    kind_ = packed_kind_of(type);
    tile_bytes_ = ggmlkit::tile_bytes(kind_, active().tile_rows, cols);
    if (packing == Packing::at_use) {
      file_ = data;
    } else {
      take(arena, tiles() * tile_bytes_);
      pack_all(data, pool, threads);
    }
  } else if (is_float(type)) {
    file_ = data;
  } else {
    take(arena, rows * cols * 2);
    unpack_to_half(data, pool, threads);
  }
}

void WeightMatrix::take(Arena& arena, std::size_t bytes) {
  own_ = arena.take(bytes);
  own_bytes_ = bytes;
}

std::size_t WeightMatrix::tiles() const {
  const std::size_t tile_rows = active().tile_rows;
  return (rows_ + tile_rows - 1) / tile_rows;
}

void WeightMatrix::pack_tile(std::size_t i, const std::byte* rows, std::byte* out) const {
  const std::size_t tile_rows = active().tile_rows;
  const std::size_t stride = row_bytes(type_, cols_);
  const std::size_t row = i * tile_rows;
  kernels(type_).pack(rows + row * stride, stride, std::min(tile_rows, rows_ - row), cols_, out);
}

void WeightMatrix::pack_all(const std::byte* data, ThreadPool& pool, int threads) {
  pool.run(
      [&](int thread, int n_threads) {
        const Range share = split(tiles(), thread, n_threads);
        for (std::size_t i = share.begin; i < share.end; ++i) {
          pack_tile(i, data, own_ + i * tile_bytes_);
        }
      },
      threads);
}

void WeightMatrix::unpack_to_half(const std::byte* data, ThreadPool& pool, int threads) {
  const std::size_t stride = row_bytes(type_, cols_);
  float_type_ = Type::f16;
  pool.run(
      [&](int thread, int n_threads) {
        const Range share = split(rows_, thread, n_threads);
        std::vector<float> row(cols_);
        for (std::size_t r = share.begin; r < share.end; ++r) {
          dequantize_row(type_, data + r * stride, row.data(), cols_);
          kernels(Type::f16).quantize(row.data(), own_ + r * cols_ * 2, cols_);
        }
      },
      threads);
}

}  // namespace ggmlkit
