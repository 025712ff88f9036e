// Products with packed tiles: integer dot products of R tiles (8 rows each) with T tokens in
// registers, scaled once a block.
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/vector.h"
#include "kernels/packed.h"

namespace ggmlkit::avx2 {
namespace {

constexpr std::size_t kTileRows = 8;
constexpr std::size_t kVector = 32;

__m256i broadcast4(const std::int8_t* a) {
  std::int32_t four;
  std::memcpy(&four, a, 4);
  return _mm256_set1_epi32(four);
}

__m256i load32(const std::byte* p) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(p));
}

// The fifth bit of quad k in its place, from the block's vector of them.
template <int k>
__m256i high_of(__m256i highs) {
  const __m256i moved = k <= 4 ? _mm256_slli_epi16(highs, k <= 4 ? 4 - k : 0)
                               : _mm256_srli_epi16(highs, k > 4 ? k - 4 : 0);
  return _mm256_and_si256(moved, _mm256_set1_epi8(0x10));
}

// Quads i and i + 4 of a block of one tile.
template <PackedKind kind, int i>
void unpack(const std::byte* quants, const std::byte* highs, __m256i& low, __m256i& high) {
  const __m256i mask = _mm256_set1_epi8(15);
  const __m256i v = load32(quants + kVector * i);
  low = _mm256_and_si256(v, mask);
  high = _mm256_and_si256(_mm256_srli_epi16(v, 4), mask);
  if constexpr (Packed<kind>::has_high) {
    const __m256i h = load32(highs);
    low = _mm256_or_si256(low, high_of<i>(h));
    high = _mm256_or_si256(high, high_of<i + 4>(h));
  }
}

// sum += low bytes · a. The empty statement holds the sum in its register: the compiler would
// rather compute all products first, add them as a tree, and spill them meanwhile.
inline void accumulate(__m256i& sum, __m256i w, __m256i a) {
  sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(w, a));
  asm("" : "+x"(sum));
}

// Pointers of one block of R tiles, and of T tokens.
template <int R>
struct Tiles {
  const std::byte* quants[R];
  const std::byte* highs[R];
  const std::byte* scales[R];
  const std::byte* mins[R];
};
template <int T>
struct Tokens {
  const std::int8_t* q[T];
  const float* scale[T];
  const std::int32_t* sum[T];
  const std::int32_t* half_sums[T];
};

// Integer dot products of one block, [R][T] vectors of eight int32, one a row.
//
// Below eight bits a 16-bit lane sums sixteen products of its row. It starts at -offset · Σa over
// the lane's activations, so that it ends at Σ (q - offset)·a: with |q - offset| ≤ 16 and |a| ≤ 127
// at most 16 · 16 · 127 = 32512, which fits; what wraps on the way unwraps again. A maddubs itself
// is at most 2 · 31 · 127. Kinds with a minimum have no offset, and Σ q·a is at most
// 16 · 15 · 127 = 30480 for four bits, but not within 16 bits for five: those widen half way.
template <PackedKind kind, int R, int T>
struct Dot {
  using P = Packed<kind>;
  static constexpr bool widen_half_way = P::has_high && P::has_min;

  template <int i>
  static void step(const Tiles<R>& w, const Tokens<T>& x, std::size_t b, __m256i (&sum)[R][T]) {
    __m256i low[R];
    __m256i high[R];
    for (int r = 0; r < R; ++r) {
      unpack<kind, i>(w.quants[r] + b * P::vectors * kVector, w.highs[r] + b * kVector, low[r],
                      high[r]);
    }
    for (int t = 0; t < T; ++t) {
      const __m256i a = broadcast4(x.q[t] + b * kBlock + 4 * i);
      for (int r = 0; r < R; ++r) {
        accumulate(sum[r][t], low[r], a);
      }
      const __m256i a4 = broadcast4(x.q[t] + b * kBlock + 4 * i + 16);
      for (int r = 0; r < R; ++r) {
        accumulate(sum[r][t], high[r], a4);
      }
    }
  }

  static void run(const Tiles<R>& w, const Tokens<T>& x, std::size_t b, __m256i (&dot)[R][T]) {
    const __m256i one = _mm256_set1_epi16(1);
    __m256i sum[R][T];
    for (int t = 0; t < T; ++t) {
      const __m256i start = P::offset == 0
                                ? _mm256_setzero_si256()
                                : _mm256_mullo_epi16(_mm256_set1_epi32(x.half_sums[t][b]),
                                                     _mm256_set1_epi16(-P::offset));
      for (int r = 0; r < R; ++r) sum[r][t] = start;
    }
    step<0>(w, x, b, sum);
    step<1>(w, x, b, sum);
    if constexpr (widen_half_way) {
      for (int r = 0; r < R; ++r) {
        for (int t = 0; t < T; ++t) {
          dot[r][t] = _mm256_madd_epi16(sum[r][t], one);
          sum[r][t] = _mm256_setzero_si256();
        }
      }
    }
    step<2>(w, x, b, sum);
    step<3>(w, x, b, sum);
    for (int r = 0; r < R; ++r) {
      for (int t = 0; t < T; ++t) {
        const __m256i wide = _mm256_madd_epi16(sum[r][t], one);
        dot[r][t] = widen_half_way ? _mm256_add_epi32(dot[r][t], wide) : wide;
      }
    }
  }
};

// maddubs takes unsigned × signed: |w| ≤ 128 and a with w's sign. A pair is at most
// 2 · 128 · 127 = 32512, so each product widens at once.
template <int R, int T>
struct Dot<PackedKind::byte, R, T> {
  static void run(const Tiles<R>& w, const Tokens<T>& x, std::size_t b, __m256i (&dot)[R][T]) {
    const __m256i one = _mm256_set1_epi16(1);
    for (int r = 0; r < R; ++r) {
      for (int t = 0; t < T; ++t) dot[r][t] = _mm256_setzero_si256();
    }
    for (int k = 0; k < 8; ++k) {
      for (int r = 0; r < R; ++r) {
        const __m256i q = load32(w.quants[r] + (b * 8 + k) * kVector);
        const __m256i magnitude = _mm256_abs_epi8(q);
        for (int t = 0; t < T; ++t) {
          const __m256i a = _mm256_sign_epi8(broadcast4(x.q[t] + b * kBlock + 4 * k), q);
          dot[r][t] = _mm256_add_epi32(dot[r][t],
                                       _mm256_madd_epi16(_mm256_maddubs_epi16(magnitude, a), one));
        }
      }
    }
  }
};

// Software prefetch distance of a single token's pass over the weights: about 4 KB ahead hides the
// latency of a large shared cache and costs nothing when they come from memory.
constexpr std::size_t kAhead = 4096;

template <std::size_t bytes>
void prefetch(const std::byte* p) {
  for (std::size_t line = 0; line < bytes; line += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(p) + kAhead + line, _MM_HINT_T0);
  }
}

void store_rows(__m256 v, float* out, std::size_t rows) {
  if (rows >= kTileRows) {
    _mm256_storeu_ps(out, v);
  } else {
    float lanes[kTileRows];
    _mm256_storeu_ps(lanes, v);
    std::memcpy(out, lanes, rows * sizeof(float));
  }
}

// R tiles × T tokens over all columns; the tiles hold `rows` rows.
template <PackedKind kind, int R, int T>
void tile_product(const std::byte* tiles, const TileLayout& at, std::size_t rows,
                  const ActivationView& x, std::size_t first, float* y, std::size_t ldy) {
  using P = Packed<kind>;
  const std::size_t blocks = x.cols / kBlock;
  Tiles<R> w;
  for (int r = 0; r < R; ++r) {
    const std::byte* tile = tiles + r * at.bytes;
    w.quants[r] = tile;
    w.highs[r] = tile + at.highs_at;
    w.scales[r] = tile + at.scales_at;
    w.mins[r] = tile + at.mins_at;
  }
  Tokens<T> token;
  for (int t = 0; t < T; ++t) {
    token.q[t] = x.q + (first + t) * x.cols;
    token.scale[t] = x.scale + (first + t) * blocks;
    token.sum[t] = x.sum + (first + t) * blocks;
    token.half_sums[t] = x.half_sums + (first + t) * blocks;
  }
  __m256 total[R][T];
  for (int r = 0; r < R; ++r) {
    for (int t = 0; t < T; ++t) total[r][t] = _mm256_setzero_ps();
  }
  for (std::size_t b = 0; b < blocks; ++b) {
    if constexpr (T == 1) {
      for (int r = 0; r < R; ++r) {
        prefetch<P::vectors * kVector>(w.quants[r] + b * P::vectors * kVector);
      }
    }
    __m256i dot[R][T];
    Dot<kind, R, T>::run(w, token, b, dot);
    for (int r = 0; r < R; ++r) {
      const __m256 scale = load_half8(w.scales[r] + b * 2 * kTileRows);
      for (int t = 0; t < T; ++t) {
        const __m256 both = _mm256_mul_ps(scale, _mm256_set1_ps(token.scale[t][b]));
        total[r][t] = _mm256_fmadd_ps(both, _mm256_cvtepi32_ps(dot[r][t]), total[r][t]);
        if constexpr (P::has_min) {
          const __m256 sum =
              _mm256_set1_ps(token.scale[t][b] * static_cast<float>(token.sum[t][b]));
          total[r][t] =
              _mm256_fmadd_ps(load_half8(w.mins[r] + b * 2 * kTileRows), sum, total[r][t]);
        }
      }
    }
  }
  for (int t = 0; t < T; ++t) {
    for (int r = 0; r < R; ++r) {
      store_rows(total[r][t], y + (first + t) * ldy + r * kTileRows, rows - r * kTileRows);
    }
  }
}

template <PackedKind kind, int R>
void all_tokens(const std::byte* tiles, const TileLayout& at, std::size_t rows,
                const ActivationView& x, std::size_t tokens, float* y, std::size_t ldy) {
  std::size_t t = 0;
  for (; t + 4 <= tokens; t += 4) tile_product<kind, R, 4>(tiles, at, rows, x, t, y, ldy);
  switch (tokens - t) {
    case 3:
      tile_product<kind, R, 3>(tiles, at, rows, x, t, y, ldy);
      break;
    case 2:
      tile_product<kind, R, 2>(tiles, at, rows, x, t, y, ldy);
      break;
    case 1:
      tile_product<kind, R, 1>(tiles, at, rows, x, t, y, ldy);
      break;
    default:
      break;
  }
}

template <PackedKind kind>
void matmul_packed(const std::byte* tiles, std::size_t rows, const ActivationView& x,
                   std::size_t tokens, float* y, std::size_t ldy) {
  constexpr int kPair = 2;
  const TileLayout at = tile_layout<kind>(kTileRows, x.cols / kBlock);
  std::size_t row = 0;
  // A single token reads the weights once anyway: one tile at a time keeps to one stream.
  const std::size_t paired = tokens == 1 ? 0 : rows / kTileRows * kTileRows;
  for (; row + kPair * kTileRows <= paired; row += kPair * kTileRows) {
    all_tokens<kind, kPair>(tiles, at, kPair * kTileRows, x, tokens, y + row, ldy);
    tiles += kPair * at.bytes;
  }
  for (; row < rows; row += kTileRows, tiles += at.bytes) {
    all_tokens<kind, 1>(tiles, at, rows - row, x, tokens, y + row, ldy);
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
