// How a matrix of packed tiles goes through a product: R tiles at a time, a panel of tokens after
// the other. Many tokens take a range of the tiles' blocks at a time, expanded to bytes once; few
// tokens take all blocks, unpacked at each use. Both add the blocks of a row in the same order to
// the same sum, so a token's product does not depend on how many tokens there are.
//
// `Set` describes an instruction set:
//   Lanes          its vectors (avx2/lanes.h)
//   Dot<kind>      how it sums products of bytes (dot_steps.h)
//   tiles, tokens  how many its registers hold
//   expands_bytes  whether expanding pays for weights that are bytes already
#pragma once

#include <algorithm>

#include "core/cpu.h"
#include "kernels/generic/dot_steps.h"
#include "kernels/generic/each.h"
#include "kernels/generic/tile_weights.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

template <class Set>
constexpr std::size_t kVectorBytes = 4 * Set::Lanes::rows;

// Blocks that are expanded at a time: 16 KB of `tiles` tiles, which stay in the first-level cache
// beside the activations of eight tokens.
template <class Set>
constexpr std::size_t kExpanded = 16384 / (Set::tiles * 8 * kVectorBytes<Set>);
// From so many tokens on, expanding once costs less than unpacking for each turn.
constexpr std::size_t kWorthExpanding = 2 * kPanel;

// Quads unpacked from a tile at each use, as the bytes that are multiplied.
template <class Set, PackedKind kind>
struct FromTile {
  static constexpr bool is_cached = false;  // may have to come from memory

  TileBlocks<typename Set::Lanes, kind> tile;

  template <int k>
  [[gnu::always_inline]] typename Set::Lanes::Int quad(std::size_t b) const {
    return Set::template Dot<kind>::weights(tile.template quad<k>(b));
  }
};

// Quads expanded before: eight vectors a block, in order.
template <class Set>
struct FromBytes {
  static constexpr bool is_cached = true;

  const std::byte* quants;

  template <int k>
  [[gnu::always_inline]] typename Set::Lanes::Int quad(std::size_t b) const {
    return Set::Lanes::load(quants + (8 * b + k) * kVectorBytes<Set>);
  }
};

template <class Set, PackedKind kind>
void expand(const FromTile<Set, kind>& from, std::size_t blocks, std::byte* out) {
  for (std::size_t b = 0; b < blocks; ++b, out += 8 * kVectorBytes<Set>) {
    each<8>([&](auto k) {
      constexpr int n = decltype(k)::value;
      Set::Lanes::store(out + n * kVectorBytes<Set>, from.template quad<n>(b));
    });
  }
}

// Quads of a part of a block in the order of their unpacking: i and i + 4 share their nibbles.
template <PackedKind kind>
constexpr int kQuadsOfPart = 8 / static_cast<int>(Packed<kind>::parts);
template <PackedKind kind>
constexpr int nth_quad(int part, int i) {
  return Packed<kind>::parts == 2 ? 4 * part + i : i / 2 + i % 2 * 4;
}

// A range of blocks of R tiles that follow each other: where their scales and their weights are,
// and where the product goes: `rows` values a token, which a range that is not the tiles' first
// goes on with.
template <class Set, PackedKind kind, class Source, int R>
struct BlockRange {
  using L = typename Set::Lanes;

  TileLayout at;
  TileBlocks<L, kind> tile[R];
  Source weights[R];
  std::size_t first_block;
  std::size_t blocks;
  float* y;
  std::size_t ldy;
  std::size_t rows;
  std::size_t ahead;  // how many bytes ahead the tiles are prefetched; 0: not at all

  // The sums of tile r with a token, before this range.
  typename L::Float begin(std::size_t token, std::size_t r) const {
    if (first_block == 0) return L::zeros();
    return L::load(y + token * ldy + r * L::rows, rows - r * L::rows);
  }
  // And with it.
  void end(std::size_t token, std::size_t r, typename L::Float sums) const {
    L::store(y + token * ldy + r * L::rows, sums, rows - r * L::rows);
  }
};

// `Product<Set, kind, T, W>::run(range, panel, first, slot)` multiplies a range with T tokens from
// a slot of a panel of W on; the panel's first token is token `first`.
template <class Set, template <class, PackedKind, int, int> class Product, PackedKind kind>
struct TileMatmul {
  template <class Source, int R>
  using Range = BlockRange<Set, kind, Source, R>;

  template <int W, class Source, int R>
  static void multiply_panel(const Range<Source, R>& range, const ActivationView& panel,
                             std::size_t first) {
    constexpr int T = std::min(W, Set::tokens);
    for (std::size_t slot = 0; slot < W; slot += T) {
      Product<Set, kind, T, W>::run(range, panel, first, slot);
    }
  }

  // The tokens from `first` on.
  template <class Source, int R>
  static void multiply_panels(const Range<Source, R>& range, const ActivationView& x,
                              std::size_t first, std::size_t tokens) {
    for (std::size_t t = first; t < tokens;) {
      const std::size_t width = panel_width(tokens - t);
      const auto run = width == 8   ? multiply_panel<8, Source, R>
                       : width == 4 ? multiply_panel<4, Source, R>
                       : width == 2 ? multiply_panel<2, Source, R>
                                    : multiply_panel<1, Source, R>;
      run(range, panel_at(x, t), t);
      t += width;
    }
  }

  template <int R>
  static void multiply_expanded(const Range<FromTile<Set, kind>, R>& range, const ActivationView& x,
                                std::size_t tokens) {
    static_assert(kExpanded<Set> % kBlocksOfSuper == 0);
    alignas(64) std::byte bytes[R][kExpanded<Set> * 8 * kVectorBytes<Set>];
    for (std::size_t b = 0; b < range.blocks; b += kExpanded<Set>) {
      const std::size_t count = std::min(kExpanded<Set>, range.blocks - b);
      Range<FromBytes<Set>, R> part{range.at, {}, {}, b, count, range.y, range.ldy, range.rows, 0};
      for (int r = 0; r < R; ++r) {
        part.tile[r] = range.tile[r].from(b);
        part.weights[r] = {bytes[r]};
        expand(FromTile<Set, kind>{part.tile[r]}, count, bytes[r]);
      }
      for (std::size_t t = 0; t < tokens; t += kPanel) {
        multiply_panel<kPanel>(part, panel_at(x, t), t);
      }
    }
  }

  template <int R>
  static void multiply_tiles(const std::byte* tiles, const TileLayout& at, std::size_t rows,
                             const ActivationView& x, std::size_t tokens, float* y,
                             std::size_t ldy) {
    // Few tokens read the weights from memory; many find most of them in the cache.
    const std::size_t ahead = tokens <= kPanel ? stream_prefetch_distance(tokens) : 0;
    Range<FromTile<Set, kind>, R> range{at, {}, {}, 0, x.cols / kBlock, y, ldy, rows, ahead};
    for (int r = 0; r < R; ++r, tiles += at.bytes) {
      range.tile[r] = {tiles, tiles + at.supers_at};
      range.weights[r] = {range.tile[r]};
    }
    std::size_t whole = 0;
    // A matrix has few tiles that stand alone: not worth another copy of the products.
    if constexpr (R == Set::tiles && (Set::expands_bytes || !Packed<kind>::is_byte)) {
      if (tokens >= kWorthExpanding) {
        whole = tokens / kPanel * kPanel;
        multiply_expanded(range, x, whole);
      }
    }
    multiply_panels(range, x, whole, tokens);
  }

  static void run(const std::byte* tiles, std::size_t rows, const ActivationView& x,
                  std::size_t tokens, float* y, std::size_t ldy) {
    constexpr std::size_t kRows = Set::Lanes::rows;
    constexpr std::size_t kGroup = Set::tiles * kRows;
    const TileLayout at = tile_layout<kind>(kRows, x.cols / kBlock);
    std::size_t row = 0;
    for (; row + kGroup <= rows; row += kGroup, tiles += Set::tiles * at.bytes) {
      multiply_tiles<Set::tiles>(tiles, at, kGroup, x, tokens, y + row, ldy);
    }
    for (; row < rows; row += kRows, tiles += at.bytes) {
      multiply_tiles<1>(tiles, at, std::min(kRows, rows - row), x, tokens, y + row, ldy);
    }
  }
};

template <class Set, template <class, PackedKind, int, int> class Product, std::size_t... kind>
void fill_tile_matmul(KernelTable& table, std::index_sequence<kind...>) {
  ((table.matmul[kind] = TileMatmul<Set, Product, static_cast<PackedKind>(kind)>::run), ...);
}
template <class Set, template <class, PackedKind, int, int> class Product>
void fill_tile_matmul(KernelTable& table) {
  fill_tile_matmul<Set, Product>(table, std::make_index_sequence<kPackedKinds>());
}

}  // namespace
}  // namespace ggmlkit
