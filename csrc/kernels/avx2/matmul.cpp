// Products with packed tiles: integer dot products of R tiles (8 rows each) with T tokens in
// registers, scaled once a block. Two tiles and four tokens fill the sixteen registers: eight sums,
// the weights of two quads, a broadcast activation.
#include <algorithm>

#include "core/cpu.h"
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
// From so many tokens on, expanding once costs less than unpacking for every four tokens.
constexpr std::size_t kWorthExpanding = 2 * kPanel;

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

// Eight int32 a token, one a row, for R tiles and T tokens from slot `s` of a panel of W.
//
// A 16-bit lane sums sixteen products of its row. It starts at -offset · Σa over the lane's
// activations, so that it ends at Σ (q - offset)·a: with |q - offset| ≤ 16 and |a| ≤ 127 at most
// 16 · 16 · 127 = 32512, which fits; what wraps on the way unwraps again. A maddubs itself is at
// most 2 · 31 · 127. Kinds with a minimum have no offset: Σ q·a is at most 16 · 15 · 127 = 30480
// for four bits, but for five only half of it is sure to fit, and is widened half way.
template <PackedKind kind, int R, int T, int W, class Source>
void dot_block(const Source (&w)[R], const ActivationView& x, std::size_t b, std::size_t s,
               __m256i (&dot)[R][T], std::size_t /*part: there is one*/) {
  using P = Packed<kind>;
  constexpr bool widen_half_way = P::has_high && P::has_min;
  const __m256i one = _mm256_set1_epi16(1);
  const std::int8_t* q = x.q + (b * 8 * W + s) * 4;
  __m256i sum[R][T];
  const auto step = [&](auto index) {
    constexpr int i = decltype(index)::value;
    __m256i low[R];
    __m256i high[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) w[r].template quads<i>(b, low[r], high[r]);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      const __m256i a = broadcast4(q + (i * W + t) * 4);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) accumulate(sum[r][t], low[r], a);
      const __m256i a4 = broadcast4(q + ((i + 4) * W + t) * 4);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) accumulate(sum[r][t], high[r], a4);
    }
  };
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) {
    const __m256i start = start_of<P::offset>(x.start[b * W + s + t]);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) sum[r][t] = start;
  }
  step(std::integral_constant<int, 0>());
  step(std::integral_constant<int, 1>());
  if constexpr (widen_half_way) {
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        dot[r][t] = _mm256_madd_epi16(sum[r][t], one);
        sum[r][t] = _mm256_setzero_si256();
      }
    }
  }
  step(std::integral_constant<int, 2>());
  step(std::integral_constant<int, 3>());
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m256i wide = _mm256_madd_epi16(sum[r][t], one);
      dot[r][t] = widen_half_way ? _mm256_add_epi32(dot[r][t], wide) : wide;
    }
  }
}

// Signed bytes, eight vectors a block. maddubs takes unsigned × signed: |w| ≤ 128 and a with w's
// sign. A pair is at most 2 · 128 · 127 = 32512, so each product widens at once.
struct SignedBytes {
  const std::byte* quants;
};

//
// `part` of the block's scales: of quads 0 … 3, or 4 … 7, where it has two.
template <PackedKind kind, int R, int T, int W>
void dot_block(const SignedBytes (&w)[R], const ActivationView& x, std::size_t b, std::size_t s,
               __m256i (&dot)[R][T], std::size_t part) {
  constexpr std::size_t quads = 8 / Packed<kind>::parts;
  const __m256i one = _mm256_set1_epi16(1);
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) dot[r][t] = _mm256_setzero_si256();
  }
  for (std::size_t k = part * quads; k < (part + 1) * quads; ++k) {
    __m256i q[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) q[r] = load32(w[r].quants + (8 * b + k) * kVector);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      const __m256i a = broadcast4(x.q + ((b * 8 + k) * W + s + static_cast<std::size_t>(t)) * 4);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const __m256i pairs =
            _mm256_maddubs_epi16(_mm256_abs_epi8(q[r]), _mm256_sign_epi8(a, q[r]));
        dot[r][t] = _mm256_add_epi32(dot[r][t], _mm256_madd_epi16(pairs, one));
        asm("" : "+x"(dot[r][t]));
      }
    }
  }
}

// ---------------------------------------------------------------- products of a tile

// A run of blocks of R tiles, their scales, and where the product goes: `rows` values a token,
// added to what is there unless this run is the tiles' first.
template <class Source, int R>
struct Run {
  Source weights[R];
  const std::byte* scales[R];
  const std::byte* mins[R];
  std::size_t first_block;
  std::size_t blocks;
  float* y;
  std::size_t ldy;
  std::size_t rows;
  const std::byte* stream;  // what few tokens' pass prefetches at block 0
  std::size_t stream_step;  // and how much further it goes a block; 0 for none
};

// A pass of few tokens takes the weights from afar, in the order they lie in: the tiles' bytes are
// dealt out evenly over the blocks, whatever their areas.
template <class Source, int R>
void prefetch(const Run<Source, R>& run, std::size_t b) {
  const std::byte* p = run.stream + b * run.stream_step;
  for (std::size_t line = 0; line < run.stream_step; line += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(p) + line, _MM_HINT_T0);
  }
}

void store_rows(__m256 v, bool add, float* out, std::size_t rows) {
  if (rows >= kTileRows) {
    if (add) v = _mm256_add_ps(v, _mm256_loadu_ps(out));
    _mm256_storeu_ps(out, v);
    return;
  }
  float lanes[kTileRows];
  _mm256_storeu_ps(lanes, v);
  for (std::size_t r = 0; r < rows; ++r) out[r] = add ? out[r] + lanes[r] : lanes[r];
}

// T tokens from slot s of a panel of W, whose blocks begin at the run's first; the panel's first
// token is `first`.
template <PackedKind kind, int T, int W, class Source, int R>
void multiply(const Run<Source, R>& run, const ActivationView& x, std::size_t first,
              std::size_t s) {
  using P = Packed<kind>;
  __m256 total[R][T];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) total[r][t] = _mm256_setzero_ps();
  }
  for (std::size_t b = 0; b < run.blocks; ++b) {
    if (s == 0) prefetch(run, b);
    for (std::size_t part = 0; part < P::parts; ++part) {
      __m256i dot[R][T];
      dot_block<kind, R, T, W>(run.weights, x, b, s, dot, part);
      __m256 scale[R];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        scale[r] = load_half8(run.scales[r] + (b * P::parts + part) * 2 * kTileRows);
      }
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) {
        const std::size_t at = b * W + s + static_cast<std::size_t>(t);
        const __m256 a_scale = _mm256_set1_ps(x.scale[at]);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          total[r][t] = _mm256_fmadd_ps(_mm256_mul_ps(scale[r], a_scale),
                                        _mm256_cvtepi32_ps(dot[r][t]), total[r][t]);
          if constexpr (P::has_min) {
            const __m256 a_sum = _mm256_set1_ps(x.scale[at] * static_cast<float>(x.sum[at]));
            total[r][t] =
                _mm256_fmadd_ps(load_half8(run.mins[r] + b * 2 * kTileRows), a_sum, total[r][t]);
          }
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) {
    float* out = run.y + (first + s + static_cast<std::size_t>(t)) * run.ldy;
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const std::size_t row = static_cast<std::size_t>(r) * kTileRows;
      store_rows(total[r][t], run.first_block != 0, out + row, run.rows - row);
    }
  }
}

// All tokens, panel by panel.
template <PackedKind kind, class Source, int R>
void multiply_all(const Run<Source, R>& run, const ActivationView& x, std::size_t tokens) {
  for (std::size_t t = 0; t < tokens;) {
    const std::size_t width = panel_width(tokens - t);
    const ActivationView panel = block_at(panel_at(x, t), run.first_block, width);
    switch (width) {
      case 8:
        if constexpr (R == 1) {
          multiply<kind, 8, 8>(run, panel, t, 0);
        } else {
          multiply<kind, 4, 8>(run, panel, t, 0);
          multiply<kind, 4, 8>(run, panel, t, 4);
        }
        break;
      case 4:
        multiply<kind, 4, 4>(run, panel, t, 0);
        break;
      case 2:
        multiply<kind, 2, 2>(run, panel, t, 0);
        break;
      default:
        multiply<kind, 1, 1>(run, panel, t, 0);
    }
    t += width;
  }
}

template <PackedKind kind, int R>
void multiply_expanded(const Run<FromTile<kind>, R>& run, const ActivationView& x,
                       std::size_t tokens) {
  alignas(64) std::byte bytes[R][kExpanded * 8 * kVector];
  for (std::size_t b = 0; b < run.blocks; b += kExpanded) {
    const std::size_t count = std::min(kExpanded, run.blocks - b);
    Run<FromBytes, R> part{{}, {}, {}, b, count, run.y, run.ldy, run.rows, nullptr, 0};
    for (int r = 0; r < R; ++r) {
      const FromTile<kind>& from = run.weights[r];
      expand(FromTile<kind>{from.quants + b * 4 * kVector, from.highs + b * kVector}, count,
             bytes[r]);
      part.weights[r] = {bytes[r]};
      part.scales[r] = run.scales[r] + b * 2 * kTileRows;
      part.mins[r] = run.mins[r] + b * 2 * kTileRows;
    }
    multiply_all<kind>(part, x, tokens);
  }
}

// R tiles that follow each other.
template <PackedKind kind, int R>
void multiply_tiles(const std::byte* tiles, const TileLayout& at, std::size_t rows,
                    const ActivationView& x, std::size_t tokens, float* y, std::size_t ldy) {
  using Source = std::conditional_t<Packed<kind>::is_byte, SignedBytes, FromTile<kind>>;
  const std::size_t blocks = x.cols / kBlock;
  Run<Source, R> run{{},
                     {},
                     {},
                     0,
                     blocks,
                     y,
                     ldy,
                     rows,
                     tiles + stream_prefetch_distance(),
                     blocks == 0 || tokens > kPanel ? 0 : R * at.bytes / blocks};
  for (int r = 0; r < R; ++r, tiles += at.bytes) {
    if constexpr (Packed<kind>::is_byte) {
      run.weights[r] = {tiles};
    } else {
      run.weights[r] = {tiles, tiles + at.highs_at};
    }
    run.scales[r] = tiles + at.scales_at;
    run.mins[r] = tiles + at.mins_at;
  }
  if constexpr (!Packed<kind>::is_byte) {
    if (tokens >= kWorthExpanding) return multiply_expanded<kind>(run, x, tokens);
  }
  multiply_all<kind>(run, x, tokens);
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
  matmul(PackedKind::byte16) = matmul_packed<PackedKind::byte16>;
}

}  // namespace ggmlkit::avx2
