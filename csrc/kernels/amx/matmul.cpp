// AMX: the table of AVX-512 with VNNI, with products of sixteen tokens and more by matrix
// instructions, of weights and activations in bfloat16. Sums stay in tile registers, as no scale
// is left to apply to them; int8 would have to leave them after every block, which costs more than
// its products do (docs/how-the-kernels-work.md).
#include <algorithm>
#include <type_traits>
#include <utility>

#include "kernels/amx/bfloat16.h"
#include "kernels/amx/tiles.h"

namespace ggmlkit {
namespace {

constexpr std::size_t kTokens = kMatrixPanel;
static_assert(kTokens == kRows);
constexpr std::size_t kTotals = kTokens * kRows;  // floats of a tile register

// Blocks that are expanded at a time, of two tiles: 16 KB, or less than twice that where few would
// be left for a last turn, which stay in the first-level cache while all tokens use them.
constexpr std::size_t kExpanded = 8;
static_assert(kExpanded % kBlocksOfSuper == 0);
constexpr std::size_t kRoom = (2 * kExpanded - 1) * kMatrixBytes;
// Tokens that use them in the meantime: their totals take 32 KB.
constexpr std::size_t kAtOnce = 256;

constexpr TileShapes kWhole = [] {
  TileShapes s;
  for (int i = 0; i < 8; ++i) {
    s.rows[i] = kTokens;
    s.row_bytes[i] = kVector;
  }
  return s;
}();

template <int i>
using Index = std::integral_constant<int, i>;

// Registers 0 … 3: sums of panel t and tile r, at 2 · t + r.
enum Register { kActivations = 4, kWeights = 6 };

// Where the sums of two panels and two tiles lie: floats from one of each to the next, and between
// tokens.
struct Sums {
  float* first;
  std::size_t panel;
  std::size_t tile;
  std::size_t token;

  float* at(int i) const {
    return first + static_cast<std::size_t>(i / 2) * panel + static_cast<std::size_t>(i % 2) * tile;
  }
  std::size_t step() const { return token * sizeof(float); }
};

// Blocks of R expanded tiles, kRoom apart, with the same blocks of T panels, `step` bytes apart:
// added to what was `before`, if anything.
template <int T, int R>
void multiply(const std::int8_t* x, std::size_t step, const std::byte* w, std::size_t blocks,
              const Sums* before, const Sums& after) {
  constexpr bool both_panels = T == 2;
  constexpr bool both_tiles = R == 2;
  const auto for_sums = [](auto one) {
    one(Index<0>());
    if constexpr (both_tiles) one(Index<1>());
    if constexpr (both_panels) one(Index<2>());
    if constexpr (both_panels && both_tiles) one(Index<3>());
  };
  for_sums([&](auto i) {
    if (before == nullptr) {
      tile_zero<i>();
    } else {
      tile_load<i>(before->at(i), before->step());
    }
  });
  for (std::size_t b = 0; b < blocks; ++b, x += kMatrixBytes, w += kMatrixBytes) {
    // From the second-level cache they come as fast as they are multiplied, if prefetched in time.
#pragma GCC unroll 16
    for (std::size_t line = 0; line < kMatrixBytes; line += 64) {
      __builtin_prefetch(x + kMatrixBytes + line);
      if constexpr (both_panels) __builtin_prefetch(x + step + kMatrixBytes + line);
    }
    tile_load<kActivations>(x, kVector);
    tile_load<kWeights>(w, kVector);
    if constexpr (both_panels) tile_load<kActivations + 1>(x + step, kVector);
    if constexpr (both_tiles) tile_load<kWeights + 1>(w + kRoom, kVector);
    for_sums([](auto i) { tile_dot<i, kActivations + i / 2, kWeights + i % 2>(); });
  }
  for_sums([&](auto i) { tile_store<i>(after.at(i), after.step()); });
}

// R tiles that follow each other with all tokens; `rows` of theirs exist.
template <PackedKind kind, int R>
void multiply_tiles(const std::byte* tiles, const TileLayout& at, std::size_t rows,
                    const ActivationView& x, std::size_t tokens, float* totals, float* y,
                    std::size_t ldy) {
  alignas(64) std::byte weights[R * kRoom];
  const std::size_t blocks = x.cols / kBlock;
  const std::size_t step = kTokens * x.room * kBlock;
  for (std::size_t b = 0, count; b < blocks; b += count) {
    count = blocks - b < 2 * kExpanded ? blocks - b : kExpanded;
    for (int r = 0; r < R; ++r) {
      const std::byte* tile = tiles + r * at.bytes;
      const TileBlocks<L, kind> whole{tile, tile + at.supers_at};
      expand(whole.from(b), count, weights + r * kRoom);
    }
    // Blocks of those that are expanded next: evenly, while all tokens pass.
    std::size_t prefetched = 0;
    const bool is_last = b + count == blocks && rows >= R * kRows;
    for (std::size_t t = 0; t < tokens; t += 2 * kTokens) {
      const std::int8_t* panel = x.q + t / kTokens * step + b * kMatrixBytes;
      const Sums kept{totals + t / kTokens * 2 * kTotals, 2 * kTotals, kTotals, kRows};
      const Sums product{y + t * ldy, kTokens * ldy, kRows, ldy};
      const auto run = tokens - t == kTokens ? multiply<1, R> : multiply<2, R>;
      for (; prefetched * tokens < (t + 2 * kTokens) * count && prefetched < count; ++prefetched) {
        const std::size_t ahead = count * TileBlocks<L, kind>::kBytes;
        prefetch<L, kind, R>(address_ahead<L, kind, R>(tiles, at, b + prefetched, ahead), at);
      }
      run(panel, step, weights, count, b == 0 ? nullptr : &kept, is_last ? product : kept);
    }
  }
  if (rows >= R * kRows) return;
  for (std::size_t t = 0; t < tokens; ++t) {
    for (std::size_t r = 0; r < R; ++r) {
      const float* total = totals + (t / kTokens * 2 + r) * kTotals + t % kTokens * kRows;
      L::store(y + t * ldy + r * kRows, _mm512_load_ps(total), rows - r * kRows);
    }
  }
}

template <PackedKind kind>
void multiply_whole_panels(const std::byte* tiles, std::size_t rows, const ActivationView& x,
                           std::size_t tokens, float* y, std::size_t ldy) {
  // Between blocks that are expanded at different times.
  alignas(64) float totals[kAtOnce / kTokens * 2 * kTotals];
  const TileLayout at = tile_layout<kind>(kRows, x.cols / kBlock);
  for (std::size_t row = 0; row < rows; row += 2 * kRows, tiles += 2 * at.bytes) {
    const auto run = rows - row > kRows ? multiply_tiles<kind, 2> : multiply_tiles<kind, 1>;
    for (std::size_t t = 0; t < tokens; t += kAtOnce) {
      run(tiles, at, rows - row, panel_at(x, t), std::min(kAtOnce, tokens - t), totals,
          y + t * ldy + row, ldy);
    }
  }
}

template <PackedKind kind>
void matmul_tiles(const std::byte* tiles, std::size_t rows, const ActivationView& x,
                  std::size_t tokens, float* y, std::size_t ldy) {
  const std::size_t whole = x.widest == kTokens ? tokens / kTokens * kTokens : 0;
  if (whole != 0) {
    use_tiles(kWhole);
    multiply_whole_panels<kind>(tiles, rows, x, whole, y, ldy);
    release_tiles();
  }
  if (whole == tokens) return;
  static const MatmulKernel few = avx512vnni_table().matmul[static_cast<std::size_t>(kind)];
  few(tiles, rows, panel_at(x, whole), tokens - whole, y + whole * ldy, ldy);
}

void convert_activations(const float* x, std::size_t blocks, const ActivationSlot& out) {
  if (out.width == kTokens) return store_bfloat16(x, blocks, out.q);
  static const auto to_int8 = avx512vnni_table().quantize_activations;
  to_int8(x, blocks, out);
}

template <std::size_t... kind>
void fill(KernelTable& table, std::index_sequence<kind...>) {
  ((table.matmul[kind] = matmul_tiles<static_cast<PackedKind>(kind)>), ...);
}

KernelTable make() {
  KernelTable table = avx512vnni_table();
  table.name = "amx";
  table.panel = kMatrixPanel;
  table.quantize_activations = convert_activations;
  fill(table, std::make_index_sequence<kPackedKinds>());
  return table;
}

}  // namespace

const KernelTable& amx_table() {
  static const KernelTable table = make();
  return table;
}

}  // namespace ggmlkit
