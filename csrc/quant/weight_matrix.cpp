#include "quant/weight_matrix.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/layouts/packed_tiles.h"
#include "quant/quantize.h"

namespace ggmlkit {
namespace {

const TypeKernels& kernels(Type type) { return active().types[static_cast<std::size_t>(type)]; }

bool is_float(Type type) { return type == Type::f32 || type == Type::f16 || type == Type::bf16; }

}  // namespace

WeightMatrix::WeightMatrix(Type type, std::size_t rows, std::size_t cols, const std::byte* data,
                           Arena& arena, Packing packing)
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
      take(arena, tiles() * tile_bytes_, data);
    }
  } else if (is_float(type)) {
    file_ = data;
  } else {
    float_type_ = Type::f16;
    take(arena, rows * cols * 2, data);
  }
}

void WeightMatrix::take(Arena& arena, std::size_t bytes, const std::byte* source) {
  source_ = source;
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

void WeightMatrix::make_piece(std::size_t i) const {
  if (is_packed()) return pack_tile(i, source_, own_ + i * tile_bytes_);
  std::vector<float> row(cols_);
  dequantize_row(type_, source_ + i * row_bytes(type_, cols_), row.data(), cols_);
  kernels(Type::f16).quantize(row.data(), own_ + i * cols_ * 2, cols_);
}

void pack(const std::vector<WeightMatrix*>& matrices, ThreadPool& pool, int threads) {
  std::size_t all = 0;
  for (const WeightMatrix* w : matrices) {
    if (w->pieces() != 0) all += w->nbytes();
  }
  if (all == 0) return;
  pool.run(
      [&](int thread, int n_threads) {
        const Range share = split(all, thread, n_threads);
        std::size_t first = 0;  // first byte of w among the bytes of all
        for (const WeightMatrix* w : matrices) {
          const std::size_t pieces = w->pieces();
          if (pieces == 0) continue;
          const std::size_t step = w->nbytes() / pieces;
          // A piece belongs to the share that contains its first byte.
          const auto up_to = [&](std::size_t byte) {
            return byte <= first ? 0 : std::min(pieces, (byte - first + step - 1) / step);
          };
          for (std::size_t i = up_to(share.begin); i < up_to(share.end); ++i) w->make_piece(i);
          first += w->nbytes();
        }
      },
      threads);
  for (WeightMatrix* w : matrices) w->let_go_of_source();
}

}  // namespace ggmlkit
