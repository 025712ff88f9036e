// AMX: the table of AVX-512 with VNNI, with products of sixteen tokens and more by matrix
// instructions. One multiplies a block of sixteen tokens by the same block of sixteen rows, a
// packed tile's; what is left is to scale the 256 sums and add them to the totals, which sixteen
// vectors hold meanwhile.
#include <algorithm>

#include "kernels/amx/tiles.h"
#include "kernels/avx512/lanes.h"
#include "kernels/tile_weights.h"

namespace ggmlkit {
namespace {

using L = Lanes512;
constexpr std::size_t kTokens = kMatrixPanel;
constexpr std::size_t kRows = L::rows;
constexpr std::size_t kVector = 4 * kRows;

// Blocks of a tile that are expanded to bytes at a time: 16 KB, which stay in the first-level cache
// while all tokens meet them.
constexpr std::size_t kExpanded = 32;
static_assert(kExpanded % kBlocksOfSuper == 0);

enum Register { kSums, kActivations = 4, kWeights = 6 };

// Of one part of a block: activations [16 tokens][its elements], weights [its quads][16 rows].
template <std::size_t parts>
constexpr TileShapes shapes() {
  TileShapes s;
  for (int i = 0; i < 8; ++i) {
    s.rows[i] = static_cast<std::uint8_t>(i < kWeights ? kTokens : 8 / parts);
    s.row_bytes[i] =
        static_cast<std::uint16_t>(i >= kActivations && i < kWeights ? kBlock / parts : kVector);
  }
  return s;
}
template <std::size_t parts>
constexpr TileShapes kShapes = shapes<parts>();

// Signed bytes: what codes stand for, in units of the scale.
template <PackedKind kind>
L::Int value(L::Int code) {
  using P = Packed<kind>;
  if constexpr (P::has_table) return L::lookup(P::stored.table, code);
  if constexpr (P::offset == 0) return code;
  return _mm512_sub_epi8(code, L::broadcast8(P::offset));
}

template <PackedKind kind, std::size_t... k>
void expand(const TileCodes<L, kind>& codes, std::size_t blocks, std::byte* out,
            std::index_sequence<k...>) {
  for (std::size_t b = 0; b < blocks; ++b, out += 8 * kVector) {
    (_mm512_store_si512(out + k * kVector, value<kind>(codes.template quad<k>(b))), ...);
  }
}

// Some blocks of one tile, and where its product goes: added to what is there unless they are the
// tile's first.
template <PackedKind kind>
struct Run {
  const std::byte* weights;
  TileScales<L, kind> scales;
  std::size_t first_block;
  std::size_t blocks;
  float* y;
  std::size_t ldy;
  std::size_t rows;
};

using Sums = std::int32_t[kTokens][kRows];

template <std::size_t parts>
void multiply_part(const std::int8_t* activations, const std::byte* weights, std::size_t part,
                   Sums& sums) {
  tile_zero<kSums>();
  tile_load<kActivations>(activations + part * kBlock / parts, kBlock);
  tile_load<kWeights>(weights + part * 8 / parts * kVector, kVector);
  tile_dot<kSums, kActivations, kWeights>();
  tile_store<kSums>(sums, sizeof sums[0]);
}

// Scales the sums of rounded block i, part of the run's block b, and adds them to the totals.
template <PackedKind kind>
[[gnu::always_inline]] inline void add_block(const Run<kind>& run, const ActivationView& x,
                                             std::size_t i, std::size_t b, const Sums* sums,
                                             L::Float (&total)[kTokens]) {
  using P = Packed<kind>;
#pragma GCC unroll 2
  for (std::size_t part = 0; part < P::parts; ++part) {
    const L::Float scale = run.scales.scale(b, part);
    L::Float min;
    if constexpr (P::has_min) min = run.scales.min(b, part);
#pragma GCC unroll 16
    for (std::size_t t = 0; t < kTokens; ++t) {
      const std::size_t at = i * kTokens + t;
      const L::Float both = L::multiply(scale, L::broadcast(x.scale[at]));
      total[t] = L::multiply_add(both, L::to_float(_mm512_load_si512(sums[part][t])), total[t]);
      if constexpr (P::has_min) {
        const auto sum = static_cast<float>(part_sum<P::parts>(x, at, part));
        total[t] = L::multiply_add(min, L::broadcast(x.scale[at] * sum), total[t]);
      }
    }
  }
}

// The sixteen tokens of a panel.
template <PackedKind kind>
void multiply_panel(const Run<kind>& run, const ActivationView& x, float* y) {
  using P = Packed<kind>;
  const auto mask = static_cast<__mmask16>((1u << run.rows) - 1u);
  L::Float total[kTokens];
#pragma GCC unroll 16
  for (std::size_t t = 0; t < kTokens; ++t) {
    total[t] = run.first_block == 0 ? L::zeros() : _mm512_maskz_loadu_ps(mask, y + t * run.ldy);
  }
  alignas(64) Sums sums[P::parts];
  const std::size_t end = rounded_from(x, run.first_block + run.blocks);
  for (std::size_t i = rounded_from(x, run.first_block); i < end; ++i) {
    const std::size_t b = x.blocks[i] - run.first_block;
#pragma GCC unroll 2
    for (std::size_t part = 0; part < P::parts; ++part) {
      multiply_part<P::parts>(x.q + i * kBlock * kTokens, run.weights + b * 8 * kVector, part,
                              sums[part]);
    }
    add_block(run, x, i, b, sums, total);
  }
#pragma GCC unroll 16
  for (std::size_t t = 0; t < kTokens; ++t) L::store(y + t * run.ldy, total[t], run.rows);
}

template <PackedKind kind>
void multiply_tile(const std::byte* tile, const TileLayout& at, std::size_t rows,
                   const ActivationView& x, std::size_t tokens, float* y, std::size_t ldy) {
  alignas(64) std::byte bytes[kExpanded * 8 * kVector];
  const TileCodes<L, kind> codes{tile, tile + at.highs_at};
  const TileScales<L, kind> scales{tile + at.scales_at, tile + at.mins_at, tile + at.supers_at};
  const std::size_t blocks = x.cols / kBlock;
  for (std::size_t b = 0; b < blocks; b += kExpanded) {
    const std::size_t count = std::min(kExpanded, blocks - b);
    expand(codes.from(b), count, bytes, std::make_index_sequence<8>());
    const Run<kind> run{bytes, scales.from(b), b, count, y, ldy, std::min(rows, kRows)};
    for (std::size_t t = 0; t < tokens; t += kTokens) {
      multiply_panel(run, panel_at(x, t), y + t * ldy);
    }
  }
}

template <PackedKind kind>
void matmul_tiles(const std::byte* tiles, std::size_t rows, const ActivationView& x,
                  std::size_t tokens, float* y, std::size_t ldy) {
  using P = Packed<kind>;
  const std::size_t whole = tokens / kTokens * kTokens;
  if (whole != 0) {
    use_tiles(kShapes<P::parts>);
    const TileLayout at = tile_layout<kind>(kRows, x.cols / kBlock);
    for (std::size_t row = 0; row < rows; row += kRows) {
      multiply_tile<kind>(tiles + row / kRows * at.bytes, at, rows - row, x, whole, y + row, ldy);
    }
    release_tiles();
  }
  if (whole == tokens) return;
  static const MatmulKernel few = avx512vnni_table().matmul[static_cast<std::size_t>(kind)];
  few(tiles, rows, panel_at(x, whole), tokens - whole, y + whole * ldy, ldy);
}

template <std::size_t... kind>
void fill(KernelTable& table, std::index_sequence<kind...>) {
  ((table.matmul[kind] = matmul_tiles<static_cast<PackedKind>(kind)>), ...);
}

KernelTable make() {
  KernelTable table = avx512vnni_table();
  table.name = "amx";
  table.panel = kMatrixPanel;
  fill(table, std::make_index_sequence<kPackedKinds>());
  return table;
}

}  // namespace

const KernelTable& amx_table() {
  static const KernelTable table = make();
  return table;
}

}  // namespace ggmlkit
