// Products with packed tiles and with float rows, in plain C++.
#include <utility>

#include "kernels/generic/pack_groups.h"
#include "kernels/generic/pack_rows.h"
#include "kernels/layouts/bytes.h"
#include "kernels/scalar/scalar.h"

namespace ggmlkit {
namespace {

float f32_value(const std::byte* p, std::size_t i) { return load_at<float>(p, i); }
float f16_value(const std::byte* p, std::size_t i) {
  return half_to_float(load_at<std::uint16_t>(p, i));
}
float bf16_value(const std::byte* p, std::size_t i) {
  return bf16_to_float(load_at<std::uint16_t>(p, i));
}

using Value = float (*)(const std::byte*, std::size_t);

constexpr std::size_t kTileRows = 8;

// n bits of the code at a row and a column of a block, from its vectors.
int code_bits(const std::byte* vectors, int n, std::size_t row, std::size_t col) {
  const int quad = static_cast<int>(col / 4);
  const auto vector = static_cast<std::size_t>(vector_of(n, quad));
  const auto byte = static_cast<int>(vectors[(vector * kTileRows + row) * 4 + col % 4]);
  return (byte >> bit_of(n, quad)) & ((1 << n) - 1);
}

// What the scale of a row and a column of a block is multiplied with.
template <PackedKind kind>
int packed_value(const std::byte* block, std::size_t row, std::size_t col) {
  using P = Packed<kind>;
  int code = code_bits(block, P::stored.low_bits, row, col);
  if constexpr (P::is_byte) return static_cast<std::int8_t>(code);
  if constexpr (P::has_table) return P::stored.table[code];
  if constexpr (P::has_high) {
    const std::byte* highs = block + P::highs_at * kTileRows;
    code |= code_bits(highs, P::stored.high_bits, row, col) << P::stored.low_bits;
  }
  return code - P::offset;
}

struct ScaleAndMin {
  float scale;
  float min;
};

// Of a part of a block, for one row. Products of nested scales are exact: 11 bits times 8 at most.
template <PackedKind kind>
ScaleAndMin scale_and_min(const std::byte* block, const std::byte* supers, std::size_t row,
                          std::size_t part) {
  using P = Packed<kind>;
  const std::size_t i = part * kTileRows + row;
  const std::byte* scales = block + P::scales_at * kTileRows;
  const std::byte* mins = block + P::mins_at * kTileRows;
  if constexpr (P::is_nested) {
    const float d = f16_value(supers, row);
    const int small = load_at<std::int8_t>(scales, i);
    if constexpr (!P::has_min) return {d * static_cast<float>(small), 0.0f};
    const float m = f16_value(supers, kTileRows + row);
    if constexpr (P::shares_bytes) {
      return {d * static_cast<float>(small & 15), m * static_cast<float>((small >> 4) & 15)};
    }
    return {d * static_cast<float>(small),
            m * static_cast<float>(load_at<std::uint8_t>(mins, row))};
  }
  if constexpr (P::stored.scales == Scales::bf16) return {bf16_value(scales, i), 0.0f};
  return {f16_value(scales, i), P::has_min ? f16_value(mins, row) : 0.0f};
}

// Row r of a tile with slot t of a panel of `width`.
template <PackedKind kind>
float dot_row(const std::byte* tile, const TileLayout& at, std::size_t r, const ActivationView& x,
              std::size_t t, std::size_t width) {
  using P = Packed<kind>;
  float total = 0.0f;
  for (std::size_t n = 0; n < *x.counts; ++n) {
    const std::size_t b = x.blocks[n];
    const std::byte* block = tile + b * P::block_bytes * kTileRows;
    const std::byte* supers = tile + at.supers_at + b / kBlocksOfSuper * P::super_bytes * kTileRows;
    const std::size_t i = n * width + t;
    for (std::size_t part = 0; part < P::parts; ++part) {
      std::int32_t dot = 0;
      for (std::size_t c = part * kBlock / P::parts; c < (part + 1) * kBlock / P::parts; ++c) {
        const int a = x.q[((n * 8 + c / 4) * width + t) * 4 + c % 4];
        dot += packed_value<kind>(block, r, c) * a;
      }
      const ScaleAndMin s = scale_and_min<kind>(block, supers, r, part);
      total += s.scale * x.scale[i] * static_cast<float>(dot);
      if constexpr (P::has_min) {
        total += s.min * (x.scale[i] * static_cast<float>(part_sum<P::parts>(x, i, part)));
      }
    }
  }
  return total;
}

template <PackedKind kind>
void matmul_packed(const std::byte* tiles, std::size_t rows, const ActivationView& x,
                   std::size_t tokens, float* y, std::size_t ldy) {
  const TileLayout at = tile_layout<kind>(kTileRows, x.cols / kBlock);
  for (std::size_t first = 0; first < tokens;) {
    const std::size_t width = panel_width(tokens - first);
    const ActivationView panel = panel_at(x, first);
    for (std::size_t t = 0; t < width; ++t, ++first) {
      for (std::size_t r = 0; r < rows; ++r) {
        const std::byte* tile = tiles + r / kTileRows * at.bytes;
        y[first * ldy + r] = dot_row<kind>(tile, at, r % kTileRows, panel, t, width);
      }
    }
  }
}

template <std::size_t... kind>
void fill_matmul(KernelTable& table, std::index_sequence<kind...>) {
  ((table.matmul[kind] = matmul_packed<static_cast<PackedKind>(kind)>), ...);
}

template <Value value>
void matmul_float(const std::byte* w, std::size_t rows, std::size_t cols, const float* x,
                  std::size_t tokens, float* y, std::size_t ldy) {
  for (std::size_t t = 0; t < tokens; ++t) {
    for (std::size_t r = 0; r < rows; ++r) {
      float total = 0.0f;
      for (std::size_t c = 0; c < cols; ++c) total += value(w, r * cols + c) * x[t * cols + c];
      y[t * ldy + r] = total;
    }
  }
}

}  // namespace

void fill_scalar_products(KernelTable& table) {
  fill_pack_rows<kTileRows>(table);
  fill_pack_groups<kTileRows>(table);
  fill_matmul(table, std::make_index_sequence<kPackedKinds>());
  table.matmul_f32 = matmul_float<f32_value>;
  table.matmul_f16 = matmul_float<f16_value>;
  table.matmul_bf16 = matmul_float<bf16_value>;
}

}  // namespace ggmlkit
