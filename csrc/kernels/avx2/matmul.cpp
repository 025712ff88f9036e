// Products with packed tiles: integer dot products of one tile (8 rows) with T tokens in registers,
// scaled once a block.
#include <algorithm>

#include "kernels/avx2/avx2.h"
#include "kernels/avx2/vector.h"
#include "kernels/packed.h"

namespace ggmlkit::avx2 {
namespace {

constexpr std::size_t kTileRows = 8;
constexpr std::size_t kVector = 32;
// Blocks of a tile that are expanded to bytes at a time: 8 KB, which stay in the first-level cache
// beside the activations of eight tokens.
constexpr std::size_t kExpanded = 32;
// From so many tokens on, expanding once costs less than unpacking for every eight tokens.
constexpr std::size_t kWorthExpanding = 16;

__m256i broadcast4(const std::int8_t* a) {
  std::int32_t four;
  std::memcpy(&four, a, 4);
  return _mm256_set1_epi32(four);
}

__m256i load32(const std::byte* p) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(p));
}

// ---------------------------------------------------------------- where unsigned weights come from

// The fifth bit of quad k in its place, from the block's vector of them.
template <int k>
__m256i high_of(__m256i highs) {
  const __m256i moved = k <= 4 ? _mm256_slli_epi16(highs, k <= 4 ? 4 - k : 0)
                               : _mm256_srli_epi16(highs, k > 4 ? k - 4 : 0);
  return _mm256_and_si256(moved, _mm256_set1_epi8(0x10));
}

// Quads unpacked from a tile at each use.
template <PackedKind kind>
struct FromTile {
  const std::byte* quants;
  const std::byte* highs;

  // Quads i and i + 4 of block b.
  template <int i>
  void quads(std::size_t b, __m256i& low, __m256i& high) const {
    const __m256i mask = _mm256_set1_epi8(15);
    const __m256i v = load32(quants + (4 * b + i) * kVector);
    low = _mm256_and_si256(v, mask);
    high = _mm256_and_si256(_mm256_srli_epi16(v, 4), mask);
    if constexpr (Packed<kind>::has_high) {
      const __m256i h = load32(highs + b * kVector);
      low = _mm256_or_si256(low, high_of<i>(h));
      high = _mm256_or_si256(high, high_of<i + 4>(h));
    }
  }
};

// Quads expanded to bytes before: eight vectors a block, in order.
struct FromBytes {
  const std::byte* quants;

  template <int i>
  void quads(std::size_t b, __m256i& low, __m256i& high) const {
    low = load32(quants + (8 * b + i) * kVector);
    high = load32(quants + (8 * b + i + 4) * kVector);
  }
};

template <PackedKind kind>
void expand(const FromTile<kind>& from, std::size_t blocks, std::byte* out) {
  const auto store = [](std::byte* p, __m256i v) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(p), v);
  };
  for (std::size_t b = 0; b < blocks; ++b, out += 8 * kVector) {
    __m256i quad[8];
    from.template quads<0>(b, quad[0], quad[4]);
    from.template quads<1>(b, quad[1], quad[5]);
    from.template quads<2>(b, quad[2], quad[6]);
    from.template quads<3>(b, quad[3], quad[7]);
    for (std::size_t k = 0; k < 8; ++k) store(out + k * kVector, quad[k]);
  }
}

// ---------------------------------------------------------------- dot products of one block

// sum += w · a, in 16 bits. The empty statement holds the sum in its register: the compiler would
// rather compute all products first, add them as a tree, and spill them meanwhile.
inline void accumulate(__m256i& sum, __m256i w, __m256i a) {
  sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(w, a));
  asm("" : "+x"(sum));
}

template <int offset>
__m256i start_of(std::int32_t minus_eight_sums) {
  static_assert(offset == 0 || offset == 8 || offset == 16);
  if constexpr (offset == 0) return _mm256_setzero_si256();
  const __m256i v = _mm256_set1_epi32(minus_eight_sums);
  return offset == 8 ? v : _mm256_add_epi16(v, v);
}

// Eight int32 a token, one a row.
//
// A 16-bit lane sums sixteen products of its row. It starts at -offset · Σa over the lane's
// activations, so that it ends at Σ (q - offset)·a: with |q - offset| ≤ 16 and |a| ≤ 127 at most
// 16 · 16 · 127 = 32512, which fits; what wraps on the way unwraps again. A maddubs itself is at
// most 2 · 31 · 127. Kinds with a minimum have no offset: Σ q·a is at most 16 · 15 · 127 = 30480
// for four bits, but for five only half of it is sure to fit, and is widened half way.
template <PackedKind kind, int T, class Source>
void dot_block(const Source& w, const ActivationView& x, std::size_t b, __m256i (&dot)[T]) {
  using P = Packed<kind>;
  constexpr bool widen_half_way = P::has_high && P::has_min;
  const __m256i one = _mm256_set1_epi16(1);
  const std::int8_t* q = x.q + b * kBlock * T;
  __m256i sum[T];
  const auto step = [&](auto index) {
    constexpr int i = decltype(index)::value;
    __m256i low;
    __m256i high;
    w.template quads<i>(b, low, high);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      accumulate(sum[t], low, broadcast4(q + (i * T + t) * 4));
      accumulate(sum[t], high, broadcast4(q + ((i + 4) * T + t) * 4));
    }
  };
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) sum[t] = start_of<P::offset>(x.start[b * T + t]);
  step(std::integral_constant<int, 0>());
  step(std::integral_constant<int, 1>());
  if constexpr (widen_half_way) {
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      dot[t] = _mm256_madd_epi16(sum[t], one);
      sum[t] = _mm256_setzero_si256();
    }
  }
  step(std::integral_constant<int, 2>());
  step(std::integral_constant<int, 3>());
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) {
    const __m256i wide = _mm256_madd_epi16(sum[t], one);
    dot[t] = widen_half_way ? _mm256_add_epi32(dot[t], wide) : wide;
  }
}

// Signed bytes, eight vectors a block. maddubs takes unsigned × signed: |w| ≤ 128 and a with w's
// sign. A pair is at most 2 · 128 · 127 = 32512, so each product widens at once.
struct SignedBytes {
  const std::byte* quants;
};

template <PackedKind kind, int T>
void dot_block(const SignedBytes& w, const ActivationView& x, std::size_t b, __m256i (&dot)[T]) {
  const __m256i one = _mm256_set1_epi16(1);
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) dot[t] = _mm256_setzero_si256();
  for (std::size_t k = 0; k < 8; ++k) {
    const __m256i q = load32(w.quants + (8 * b + k) * kVector);
    const __m256i magnitude = _mm256_abs_epi8(q);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      const std::int8_t* four = x.q + ((b * 8 + k) * T + static_cast<std::size_t>(t)) * 4;
      const __m256i a = _mm256_sign_epi8(broadcast4(four), q);
      const __m256i pairs = _mm256_maddubs_epi16(magnitude, a);
      dot[t] = _mm256_add_epi32(dot[t], _mm256_madd_epi16(pairs, one));
      asm("" : "+x"(dot[t]));
    }
  }
}

// ---------------------------------------------------------------- products of a tile

// Software prefetch distance of a single token's pass over the weights: about 4 KB ahead hides the
// latency of a large shared cache and costs nothing when they come from memory.
constexpr std::size_t kAhead = 4096;

template <std::size_t bytes>
void prefetch(const std::byte* p) {
  for (std::size_t line = 0; line < bytes; line += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(p) + kAhead + line, _MM_HINT_T0);
  }
}

// A run of blocks of one tile, its scales, and where the product goes: rows ≤ 8 values a token,
// added to what is there unless this run is the tile's first.
template <class Source>
struct Run {
  Source weights;
  const std::byte* scales;
  const std::byte* mins;
  std::size_t first_block;
  std::size_t blocks;
  float* y;
  std::size_t ldy;
  std::size_t rows;
};

template <class Source>
void store_token(const Run<Source>& run, std::size_t token, __m256 v) {
  float* out = run.y + token * run.ldy;
  if (run.rows >= kTileRows) {
    if (run.first_block != 0) v = _mm256_add_ps(v, _mm256_loadu_ps(out));
    _mm256_storeu_ps(out, v);
    return;
  }
  float lanes[kTileRows];
  _mm256_storeu_ps(lanes, v);
  for (std::size_t r = 0; r < run.rows; ++r) {
    out[r] = run.first_block != 0 ? out[r] + lanes[r] : lanes[r];
  }
}

// One panel of T tokens, whose blocks begin at the run's first.
template <PackedKind kind, int T, class Source>
void multiply(const Run<Source>& run, const ActivationView& x, std::size_t first) {
  using P = Packed<kind>;
  __m256 total[T];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) total[t] = _mm256_setzero_ps();
  for (std::size_t b = 0; b < run.blocks; ++b) {
    if constexpr (T == 1) {
      prefetch<P::vectors * kVector>(run.weights.quants + b * P::vectors * kVector);
    }
    __m256i dot[T];
    dot_block<kind, T>(run.weights, x, b, dot);
    const __m256 scale = load_half8(run.scales + b * 2 * kTileRows);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      const float a_scale = x.scale[b * T + t];
      const __m256 both = _mm256_mul_ps(scale, _mm256_set1_ps(a_scale));
      total[t] = _mm256_fmadd_ps(both, _mm256_cvtepi32_ps(dot[t]), total[t]);
      if constexpr (P::has_min) {
        const __m256 a_sum = _mm256_set1_ps(a_scale * static_cast<float>(x.sum[b * T + t]));
        total[t] = _mm256_fmadd_ps(load_half8(run.mins + b * 2 * kTileRows), a_sum, total[t]);
      }
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) store_token(run, first + static_cast<std::size_t>(t), total[t]);
}

// All tokens, panel by panel.
template <PackedKind kind, class Source>
void multiply_all(const Run<Source>& run, const ActivationView& x, std::size_t tokens) {
  for (std::size_t t = 0; t < tokens;) {
    const std::size_t width = panel_width(tokens - t);
    const ActivationView panel = block_at(panel_at(x, t), run.first_block, width);
    switch (width) {
      case 8:
        multiply<kind, 8>(run, panel, t);
        break;
      case 4:
        multiply<kind, 4>(run, panel, t);
        break;
      case 2:
        multiply<kind, 2>(run, panel, t);
        break;
      default:
        multiply<kind, 1>(run, panel, t);
    }
    t += width;
  }
}

template <PackedKind kind>
void multiply_expanded(const Run<FromTile<kind>>& run, const ActivationView& x,
                       std::size_t tokens) {
  alignas(64) std::byte bytes[kExpanded * 8 * kVector];
  for (std::size_t b = 0; b < run.blocks; b += kExpanded) {
    const FromTile<kind> from{run.weights.quants + b * 4 * kVector,
                              run.weights.highs + b * kVector};
    const std::size_t count = std::min(kExpanded, run.blocks - b);
    expand(from, count, bytes);
    const Run<FromBytes> part{{bytes},
                              run.scales + b * 2 * kTileRows,
                              run.mins + b * 2 * kTileRows,
                              b,
                              count,
                              run.y,
                              run.ldy,
                              run.rows};
    multiply_all<kind>(part, x, tokens);
  }
}

template <PackedKind kind>
void matmul_packed(const std::byte* tiles, std::size_t rows, const ActivationView& x,
                   std::size_t tokens, float* y, std::size_t ldy) {
  using P = Packed<kind>;
  const std::size_t blocks = x.cols / kBlock;
  const TileLayout at = tile_layout<kind>(kTileRows, blocks);
  for (std::size_t row = 0; row < rows; row += kTileRows, tiles += at.bytes) {
    const std::byte* scales = tiles + at.scales_at;
    const std::byte* mins = tiles + at.mins_at;
    const std::size_t count = std::min(kTileRows, rows - row);
    if constexpr (P::is_byte) {
      const Run<SignedBytes> run{{tiles}, scales, mins, 0, blocks, y + row, ldy, count};
      multiply_all<kind>(run, x, tokens);
    } else {
      const FromTile<kind> weights{tiles, tiles + at.highs_at};
      const Run<FromTile<kind>> run{weights, scales, mins, 0, blocks, y + row, ldy, count};
      if (tokens >= kWorthExpanding) {
        multiply_expanded(run, x, tokens);
      } else {
        multiply_all<kind>(run, x, tokens);
      }
    }
  }
}

}  // namespace

void fill_matmul(KernelTable& table) {
  const auto matmul = [&table](PackedKind kind) -> MatmulKernel& {
    return table.matmul[static_cast<std::size_t>(kind)];
  };
  matmul(PackedKind::nibble) = matmul_packed<PackedKind::nibble>;
  matmul(PackedKind::nibble_min) = matmul_packed<PackedKind::nibble_min>;
  matmul(PackedKind::five) = matmul_packed<PackedKind::five>;
  matmul(PackedKind::five_min) = matmul_packed<PackedKind::five_min>;
  matmul(PackedKind::byte) = matmul_packed<PackedKind::byte>;
}

}  // namespace ggmlkit::avx2
