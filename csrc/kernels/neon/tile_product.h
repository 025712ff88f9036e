// Products of packed tiles with tokens, whatever instruction multiplies: `Dot` names what a set
// does with one block, and with how many tokens at a time:
//
//   static constexpr int tokens;
//   template <PackedKind kind, int part, int T, int W, class Weights>
//   static void block(const Weights& w, const ActivationView& x, std::size_t i, std::size_t b,
//                     std::size_t s, Rows (&dot)[T]);
//
// the integer dot products, each less the offset, of eight rows with T tokens from slot s of a
// panel of W on, over a part of block b, which the panel's quantized block i is a part of.
#pragma once

#include <algorithm>

#include "kernels/neon/tile.h"

namespace ggmlkit::neon {
namespace {

// Blocks of a tile that are expanded to bytes at a time: 8 KB, which stay in the first-level cache
// beside the activations of four tokens.
constexpr std::size_t kExpanded = 32;
// From so many tokens on, expanding once costs less than unpacking for every four tokens.
constexpr std::size_t kWorthExpanding = 16;

// One value for each of eight rows.
struct Rows {
  int32x4_t val[2];
};

// Quads of a part, of which there are 8 / parts, in the order of their unpacking: i and i + 4 share
// their nibbles.
template <PackedKind kind>
constexpr int kQuads = 8 / static_cast<int>(Packed<kind>::parts);
template <PackedKind kind>
constexpr int nth_quad(int part, int i) {
  return Packed<kind>::parts == 2 ? 4 * part + i : i / 2 + i % 2 * 4;
}

// A range of blocks of one tile, and where the product goes: rows ≤ 8 values a token, which a range
// that is not the tile's first goes on with.
template <PackedKind kind, class Weights>
struct BlockRange {
  Weights weights;
  std::size_t first_block;
  std::size_t blocks;
  float* y;
  std::size_t ldy;
  std::size_t rows;
};

// Eight sums a token before this range, and with it, in memory: an array of registers that a loop
// indexes would live there.
template <PackedKind kind, class Weights>
void load_tokens(const BlockRange<kind, Weights>& range, std::size_t first, std::size_t count,
                 float (*sums)[kTileRows]) {
  for (std::size_t t = 0; t < count; ++t) {
    const float* from = range.y + (first + t) * range.ldy;
    for (std::size_t r = 0; r < kTileRows; ++r) {
      sums[t][r] = range.first_block != 0 && r < range.rows ? from[r] : 0.0f;
    }
  }
}

template <PackedKind kind, class Weights>
void store_tokens(const BlockRange<kind, Weights>& range, std::size_t first, std::size_t count,
                  const float (*sums)[kTileRows]) {
  for (std::size_t t = 0; t < count; ++t) {
    std::memcpy(range.y + (first + t) * range.ldy, sums[t], range.rows * sizeof(float));
  }
}

// T tokens from slot s on of a panel of W, whose first token is `first`. Flat, as sums that a call
// takes by reference would be in memory.
template <class Dot, PackedKind kind, int T, int W, class Weights>
[[gnu::flatten]] void multiply(const BlockRange<kind, Weights>& range, const ActivationView& x,
                               std::size_t first, std::size_t s) {
  using P = Packed<kind>;
  float sums[T][kTileRows];
  load_tokens(range, first + s, T, sums);
  float32x4_t total[T][2];
  for (int t = 0; t < T; ++t) {
    for (int h = 0; h < 2; ++h) total[t][h] = vld1q_f32(sums[t] + 4 * h);
  }
  const std::size_t end = quantized_from(x, range.first_block + range.blocks);
  for (std::size_t i = quantized_from(x, range.first_block); i < end; ++i) {
    const std::size_t b = x.blocks[i] - range.first_block;
    const std::size_t at = i * W + s;
    const float* a_scale = x.scale + at;
    each<P::parts>([&](auto index) {
      constexpr int part = decltype(index)::value;
      Rows dot[T];
      Dot::template block<kind, part, T, W>(range.weights, x, i, b, s, dot);
      const float32x4x2_t scale = range.weights.scale(b, part);
      for (int t = 0; t < T; ++t) {
        for (int h = 0; h < 2; ++h) {
          const float32x4_t both = vmulq_n_f32(scale.val[h], a_scale[t]);
          total[t][h] = vfmaq_f32(total[t][h], both, vcvtq_f32_s32(dot[t].val[h]));
        }
      }
      if constexpr (P::has_min) {
        const float32x4x2_t min = range.weights.min(b, part);
        for (std::size_t t = 0; t < T; ++t) {
          const auto sum = static_cast<float>(part_sum<P::parts>(x, at + t, part));
          const float a_sum = a_scale[t] * sum;
          for (int h = 0; h < 2; ++h) total[t][h] = vfmaq_n_f32(total[t][h], min.val[h], a_sum);
        }
      }
    });
  }
  for (int t = 0; t < T; ++t) {
    for (int h = 0; h < 2; ++h) vst1q_f32(sums[t] + 4 * h, total[t][h]);
  }
  store_tokens(range, first + s, T, sums);
}

// Calls product(width, panel, first token) for each panel.
template <class Product>
void for_panels(const ActivationView& x, std::size_t tokens, Product product) {
  for (std::size_t first = 0; first < tokens;) {
    const std::size_t width = panel_width(tokens - first);
    const ActivationView panel = panel_at(x, first);
    switch (width) {
      case 8:
        product(std::integral_constant<int, 8>(), panel, first);
        break;
      case 4:
        product(std::integral_constant<int, 4>(), panel, first);
        break;
      case 2:
        product(std::integral_constant<int, 2>(), panel, first);
        break;
      default:
        product(std::integral_constant<int, 1>(), panel, first);
    }
    first += width;
  }
}

template <class Dot, PackedKind kind, class Weights>
void multiply_all(const BlockRange<kind, Weights>& range, const ActivationView& x,
                  std::size_t tokens) {
  for_panels(x, tokens, [&](auto width, const ActivationView& panel, std::size_t first) {
    constexpr int W = decltype(width)::value;
    constexpr int T = std::min(W, Dot::tokens);
    for (std::size_t s = 0; s < W; s += T) multiply<Dot, kind, T, W>(range, panel, first, s);
  });
}

// Calls product(range of bytes) for each kExpanded blocks of the range, brought to 256 bytes each
// by write(weights, block, out).
template <PackedKind kind, class Write, class Product>
void for_expanded(const BlockRange<kind, TileBlocks<kind>>& range, Write write, Product product) {
  static_assert(kExpanded % kBlocksOfSuper == 0);
  constexpr std::size_t block_bytes = 8 * kVector;
  alignas(64) std::byte bytes[kExpanded * block_bytes];
  for (std::size_t first = 0; first < range.blocks; first += kExpanded) {
    const std::size_t count = std::min(kExpanded, range.blocks - first);
    for (std::size_t b = 0; b < count; ++b) {
      write(range.weights, first + b, bytes + b * block_bytes);
    }
    product(BlockRange<kind, ExpandedBlocks<kind>>{
        {range.weights.from(first), bytes}, first, count, range.y, range.ldy, range.rows});
  }
}

template <class Weights>
void write_quads(const Weights& w, std::size_t b, std::byte* out) {
  Quad quad[8];
  unpack(w, b, quad);
  for (const Quad& q : quad) {
    store16(out, vreinterpretq_u8_s8(q.val[0]));
    store16(out + 16, vreinterpretq_u8_s8(q.val[1]));
    out += kVector;
  }
}

// Calls product(range) for each tile.
template <PackedKind kind, class Product>
void for_tiles(const std::byte* tiles, std::size_t rows, std::size_t cols, float* y,
               std::size_t ldy, Product product) {
  const std::size_t blocks = cols / kBlock;
  const TileLayout at = tile_layout<kind>(kTileRows, blocks);
  for (std::size_t row = 0; row < rows; row += kTileRows, tiles += at.bytes) {
    product(BlockRange<kind, TileBlocks<kind>>{
        {tiles, tiles + at.supers_at}, 0, blocks, y + row, ldy, std::min(kTileRows, rows - row)});
  }
}

template <class Dot>
struct TileProduct {
  template <PackedKind kind>
  static void matmul(const std::byte* tiles, std::size_t rows, const ActivationView& x,
                     std::size_t tokens, float* y, std::size_t ldy) {
    for_tiles<kind>(tiles, rows, x.cols, y, ldy, [&](const auto& range) {
      if (Packed<kind>::is_byte || tokens < kWorthExpanding) {
        multiply_all<Dot, kind>(range, x, tokens);
      } else {
        for_expanded(
            range, [](const auto& w, std::size_t b, std::byte* out) { write_quads(w, b, out); },
            [&](const auto& part) { multiply_all<Dot, kind>(part, x, tokens); });
      }
    });
  }
};

// The table's products, from Product::matmul<kind>.
template <class Product, std::size_t... kind>
void set_products(KernelTable& table, std::index_sequence<kind...>) {
  ((table.matmul[kind] = Product::template matmul<static_cast<PackedKind>(kind)>), ...);
}
template <class Product>
void set_products(KernelTable& table) {
  set_products<Product>(table, std::make_index_sequence<kPackedKinds>());
}

}  // namespace
}  // namespace ggmlkit::neon
