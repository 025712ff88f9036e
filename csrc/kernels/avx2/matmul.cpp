// Products with packed tiles: integer dot products of R tiles (8 rows each) with T tokens in
// registers, scaled once a block. Two tiles and four tokens fill the sixteen registers: eight sums,
// the weights of two quads, a broadcast activation.
#include <algorithm>

#include "core/cpu.h"
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/block_dots.h"

namespace ggmlkit::avx2 {
namespace {

// Blocks of a tile that are expanded to bytes at a time: 8 KB, which stay in the first-level cache
// beside the activations of eight tokens.
constexpr std::size_t kExpanded = 32;
static_assert(kExpanded % kBlocksOfSuper == 0);
// From so many tokens on, expanding once costs less than unpacking for every four tokens.
constexpr std::size_t kWorthExpanding = 2 * kPanel;

// A range of blocks of R tiles, their weights as they are or expanded, and where the product goes:
// `rows` values a token, added to what is there unless this range is the tiles' first.
template <PackedKind kind, class Source, int R>
struct BlockRange {
  TileLayout at;
  TileBlocks<L, kind> tile[R];
  Source weights[R];
  std::size_t first_block;
  std::size_t blocks;
  float* y;
  std::size_t ldy;
  std::size_t rows;
  std::size_t ahead;  // how many bytes ahead the tiles are prefetched; 0: not at all
};

// Apart, or every product would have its own copy of these loops.
[[gnu::noinline]] void store_some_rows(__m256 v, bool add, float* out, std::size_t rows) {
  float lanes[kTileRows];
  _mm256_storeu_ps(lanes, v);
  for (std::size_t r = 0; r < rows; ++r) out[r] = add ? out[r] + lanes[r] : lanes[r];
}

void store_rows(__m256 v, bool add, float* out, std::size_t rows) {
  if (rows < kTileRows) return store_some_rows(v, add, out, rows);
  if (add) v = _mm256_add_ps(v, _mm256_loadu_ps(out));
  _mm256_storeu_ps(out, v);
}

// A function of its own, as its callers would copy it. T tokens from slot s of a panel of W, whose
// first token is `first`.
template <PackedKind kind, int T, int W, class Source, int R>
[[gnu::noinline]] void multiply(const BlockRange<kind, Source, R>& range, const ActivationView& x,
                                std::size_t first, std::size_t s) {
  const std::size_t ahead = s == 0 ? range.ahead : 0;
  using P = Packed<kind>;
  __m256 total[R][T];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) total[r][t] = _mm256_setzero_ps();
  }
  const std::size_t end = quantized_from(x, range.first_block + range.blocks);
  for (std::size_t i = quantized_from(x, range.first_block); i < end; ++i) {
    const std::size_t b = x.blocks[i] - range.first_block;
    if (ahead != 0) {
      prefetch<L, kind, R>(address_ahead<L, kind, R>(range.tile[0].blocks, range.at, b, ahead),
                           range.at);
    }
    __m256i dot[R][T];
    dot_block<kind, T, W>(range.weights, range.tile, x, i, b, s, dot);
    __m256 scale[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      scale[r] = P::parts == 1 ? range.tile[r].scale(b, 0) : range.tile[r].unit(b);
    }
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      const __m256 a_scale = _mm256_set1_ps(x.scale[i * W + s + static_cast<std::size_t>(t)]);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        total[r][t] = _mm256_fmadd_ps(_mm256_mul_ps(scale[r], a_scale),
                                      _mm256_cvtepi32_ps(dot[r][t]), total[r][t]);
      }
    }
    if constexpr (P::has_min) {
#pragma GCC unroll 2
      for (std::size_t part = 0; part < P::parts; ++part) {
        float a_sums[T];
        sum_activations<kind>(x, i * W + s, part, a_sums);
        __m256 min[R];
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) min[r] = range.tile[r].min(b, part);
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t) {
          const __m256 a_sum = _mm256_set1_ps(a_sums[t]);
#pragma GCC unroll 8
          for (int r = 0; r < R; ++r) total[r][t] = _mm256_fmadd_ps(min[r], a_sum, total[r][t]);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) {
    float* out = range.y + (first + s + static_cast<std::size_t>(t)) * range.ldy;
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const std::size_t row = static_cast<std::size_t>(r) * kTileRows;
      store_rows(total[r][t], range.first_block != 0, out + row, range.rows - row);
    }
  }
}

// All tokens, panel by panel.
template <PackedKind kind, class Source, int R>
void multiply_all(const BlockRange<kind, Source, R>& range, const ActivationView& x,
                  std::size_t tokens) {
  for (std::size_t t = 0; t < tokens;) {
    const std::size_t width = panel_width(tokens - t);
    const ActivationView panel = panel_at(x, t);
    switch (width) {
      case 8:
        multiply<kind, 4, 8>(range, panel, t, 0);
        multiply<kind, 4, 8>(range, panel, t, 4);
        break;
      case 4:
        multiply<kind, 4, 4>(range, panel, t, 0);
        break;
      case 2:
        multiply<kind, 2, 2>(range, panel, t, 0);
        break;
      default:
        multiply<kind, 1, 1>(range, panel, t, 0);
    }
    t += width;
  }
}

template <PackedKind kind, int R>
void multiply_expanded(const BlockRange<kind, FromTile<kind>, R>& range, const ActivationView& x,
                       std::size_t tokens) {
  alignas(64) std::byte bytes[R][kExpanded * 8 * kVector];
  for (std::size_t b = 0; b < range.blocks; b += kExpanded) {
    const std::size_t count = std::min(kExpanded, range.blocks - b);
    BlockRange<kind, FromBytes, R> part{range.at, {},        {},         b, count,
                                        range.y,  range.ldy, range.rows, 0};
    for (int r = 0; r < R; ++r) {
      part.tile[r] = range.tile[r].from(b);
      part.weights[r] = {bytes[r]};
      expand(FromTile<kind>{part.tile[r]}, count, bytes[r]);
    }
    multiply_all(part, x, tokens);
  }
}

// R tiles that follow each other.
template <PackedKind kind, int R>
void multiply_tiles(const std::byte* tiles, const TileLayout& at, std::size_t rows,
                    const ActivationView& x, std::size_t tokens, float* y, std::size_t ldy) {
  // Few tokens read the weights from memory; many find most of them in the cache.
  const std::size_t ahead = tokens <= kPanel ? stream_prefetch_distance(tokens) : 0;
  BlockRange<kind, FromTile<kind>, R> range{at, {}, {}, 0, x.cols / kBlock, y, ldy, rows, ahead};
  for (int r = 0; r < R; ++r, tiles += at.bytes) {
    range.tile[r] = {tiles, tiles + at.supers_at};
    range.weights[r] = {range.tile[r]};
  }
  // A matrix has one lone tile at most, which is not worth another copy of the products.
  if constexpr (R > 1 && !Packed<kind>::is_byte) {
    if (tokens >= kWorthExpanding) return multiply_expanded(range, x, tokens);
  }
  multiply_all(range, x, tokens);
}

template <PackedKind kind>
void matmul_packed(const std::byte* tiles, std::size_t rows, const ActivationView& x,
                   std::size_t tokens, float* y, std::size_t ldy) {
  const TileLayout at = tile_layout<kind>(kTileRows, x.cols / kBlock);
  std::size_t row = 0;
  for (; row + 2 * kTileRows <= rows; row += 2 * kTileRows, tiles += 2 * at.bytes) {
    multiply_tiles<kind, 2>(tiles, at, 2 * kTileRows, x, tokens, y + row, ldy);
  }
  for (; row < rows; row += kTileRows, tiles += at.bytes) {
    multiply_tiles<kind, 1>(tiles, at, std::min(kTileRows, rows - row), x, tokens, y + row, ldy);
  }
}

template <std::size_t... kind>
void fill(KernelTable& table, std::index_sequence<kind...>) {
  ((table.matmul[kind] = matmul_packed<static_cast<PackedKind>(kind)>), ...);
}

}  // namespace

void fill_matmul(KernelTable& table) { fill(table, std::make_index_sequence<kPackedKinds>()); }

}  // namespace ggmlkit::avx2
