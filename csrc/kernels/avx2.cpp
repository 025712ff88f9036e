// AVX2 + FMA + F16C. Compiled with those flags alone; reached only through the table.
#include <immintrin.h>

#include <limits>

#include "kernels/blocks.h"
#include "kernels/kernel_table.h"
#include "kernels/packed.h"

namespace ggmlkit {
namespace {

// ---------------------------------------------------------------- small vector helpers

__m256 load_half8(const std::byte* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

__m256 load_bf16x8(const std::byte* p) {
  const __m128i h = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

__m256 load_float8(const std::byte* p) {
  return _mm256_loadu_ps(reinterpret_cast<const float*>(p));
}

__m256 absolute(__m256 x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }

float horizontal_sum(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  s = _mm_add_ss(s, _mm_movehdup_ps(s));
  return _mm_cvtss_f32(s);
}

float horizontal_max(__m256 v) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  s = _mm_max_ss(s, _mm_movehdup_ps(s));
  return _mm_cvtss_f32(s);
}

float horizontal_min(__m256 v) {
  __m128 s = _mm_min_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_min_ps(s, _mm_movehl_ps(s, s));
  s = _mm_min_ss(s, _mm_movehdup_ps(s));
  return _mm_cvtss_f32(s);
}

std::int32_t horizontal_sum(__m256i v) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
  return _mm_cvtsi128_si32(s);
}

// 32 floats of a block in four registers.
struct Floats {
  __m256 v[4];
};

Floats load_block(const float* x) {
  return {{_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8), _mm256_loadu_ps(x + 16),
           _mm256_loadu_ps(x + 24)}};
}

bool all_finite(const Floats& x) {
  const __m256i exponent = _mm256_set1_epi32(0x7f800000);
  __m256i bad = _mm256_setzero_si256();
  for (const __m256 v : x.v) {
    const __m256i e = _mm256_and_si256(_mm256_castps_si256(v), exponent);
    bad = _mm256_or_si256(bad, _mm256_cmpeq_epi32(e, exponent));
  }
  return _mm256_testz_si256(bad, bad) != 0;
}

__m256 largest_magnitude(const Floats& x) {
  return _mm256_max_ps(_mm256_max_ps(absolute(x.v[0]), absolute(x.v[1])),
                       _mm256_max_ps(absolute(x.v[2]), absolute(x.v[3])));
}

// Position of the first of 32 values for which `equal` holds; the reference quantizers take the
// first of equals, whose sign may differ.
template <class Equal>
int first_where(const Floats& x, Equal equal) {
  unsigned mask = 0;
  for (int i = 0; i < 4; ++i) {
    mask |= static_cast<unsigned>(_mm256_movemask_ps(equal(x.v[i]))) << (8 * i);
  }
  return __builtin_ctz(mask);
}

// Four registers of int32 to 32 bytes in order, each the low byte of its int32.
__m256i low_bytes(__m256i a, __m256i b, __m256i c, __m256i d) {
  const auto sign_extend = [](__m256i v) {
    return _mm256_srai_epi32(_mm256_slli_epi32(v, 24), 24);
  };
  const __m256i ab = _mm256_packs_epi32(sign_extend(a), sign_extend(b));
  const __m256i cd = _mm256_packs_epi32(sign_extend(c), sign_extend(d));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  return _mm256_permutevar8x32_epi32(_mm256_packs_epi16(ab, cd), order);
}

// Bit j of `bits` as byte j of the result: 0x10 where set.
__m256i high_bits_to_bytes(std::uint32_t bits) {
  const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                          2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ull));
  const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(bits)), spread);
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
  return _mm256_and_si256(set, _mm256_set1_epi8(0x10));
}

// ---------------------------------------------------------------- dequantize

// The stored integers as 32 bytes, the offset taken off.
template <class S>
__m256i unpack_bytes(const std::byte* src) {
  if constexpr (S::bits == 8) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(src + S::quants_at));
  } else {
    const __m128i packed = _mm_loadu_si128(reinterpret_cast<const __m128i*>(src + S::quants_at));
    const __m256i both = _mm256_set_m128i(_mm_srli_epi16(packed, 4), packed);
    __m256i q = _mm256_and_si256(both, _mm256_set1_epi8(15));
    if constexpr (S::bits == 5) {
      std::uint32_t high;
      std::memcpy(&high, src + S::high_at, 4);
      q = _mm256_or_si256(q, high_bits_to_bytes(high));
    }
    if constexpr (S::offset != 0) q = _mm256_sub_epi8(q, _mm256_set1_epi8(S::offset));
    return q;
  }
}

__m256 half_broadcast(const std::byte* p) {
  std::uint16_t h;
  std::memcpy(&h, p, 2);
  return _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(h)));
}

template <class S>
void dequantize_blocks(const std::byte* src, float* dst, std::size_t n) {
  for (std::size_t i = 0; i < n; i += S::size, src += S::bytes, dst += S::size) {
    const __m256 d = half_broadcast(src);
    const __m256i q = unpack_bytes<S>(src);
    const __m128i part[2] = {_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1)};
    for (int k = 0; k < 4; ++k) {
      const __m128i eight = k % 2 == 0 ? part[k / 2] : _mm_srli_si128(part[k / 2], 8);
      __m256 v = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight)));
      if constexpr (S::has_min) v = _mm256_add_ps(v, half_broadcast(src + S::scale_bytes));
      _mm256_storeu_ps(dst + 8 * k, v);
    }
  }
}

void dequantize_f16(const std::byte* src, float* dst, std::size_t n) {
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(dst + i, load_half8(src + 2 * i));
  for (; i < n; ++i) {
    std::uint16_t h;
    std::memcpy(&h, src + 2 * i, 2);
    dst[i] = half_to_float(h);
  }
}

void dequantize_bf16(const std::byte* src, float* dst, std::size_t n) {
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(dst + i, load_bf16x8(src + 2 * i));
  for (; i < n; ++i) {
    std::uint16_t h;
    std::memcpy(&h, src + 2 * i, 2);
    dst[i] = bf16_to_float(h);
  }
}

// ---------------------------------------------------------------- quantize

std::size_t quantize_f16(const float* src, std::byte* dst, std::size_t n) {
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m128i h = _mm256_cvtps_ph(_mm256_loadu_ps(src + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + 2 * i), h);
  }
  for (; i < n; ++i) {
    const std::uint16_t h = float_to_half(src[i]);
    std::memcpy(dst + 2 * i, &h, 2);
  }
  return n;
}

template <class S>
void store_quants(__m256i q, std::byte* dst) {
  if constexpr (S::bits == 8) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst + S::quants_at), q);
  } else {
    if constexpr (S::bits == 5) {
      // Bit 4 of each byte moves to bit 7, where movemask looks.
      const int high = _mm256_movemask_epi8(_mm256_slli_epi16(q, 3));
      std::memcpy(dst + S::high_at, &high, 4);
      q = _mm256_and_si256(q, _mm256_set1_epi8(15));
    }
    const __m128i low = _mm256_castsi256_si128(q);
    const __m128i high = _mm256_extracti128_si256(q, 1);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + S::quants_at),
                     _mm_or_si128(low, _mm_slli_epi16(high, 4)));
  }
}

void store_half(std::byte* p, float value) {
  const auto h = static_cast<std::uint16_t>(_cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT));
  std::memcpy(p, &h, 2);
}

float inverse_of(float d) { return d != 0.0f ? 1.0f / d : 0.0f; }

// trunc((x - base) · inverse + shift), low byte, at most `levels`. Multiply and add stay apart:
// the reference rounds between them.
template <int levels>
__m256i rounded_levels(const Floats& x, float inverse, float shift) {
  const __m256 scale = _mm256_set1_ps(inverse);
  const __m256 add = _mm256_set1_ps(shift);
  const auto level = [&](__m256 v) {
    return _mm256_cvttps_epi32(_mm256_add_ps(_mm256_mul_ps(v, scale), add));
  };
  const __m256i q = low_bytes(level(x.v[0]), level(x.v[1]), level(x.v[2]), level(x.v[3]));
  return _mm256_min_epi8(q, _mm256_set1_epi8(levels));
}

template <class S>
void quantize_signed_block(const Floats& x, const float* src, std::byte* dst) {
  const float magnitude = horizontal_max(largest_magnitude(x));
  const __m256 wanted = _mm256_set1_ps(magnitude);
  const int at =
      first_where(x, [&](__m256 v) { return _mm256_cmp_ps(absolute(v), wanted, _CMP_EQ_OQ); });
  // A block of zeros has extreme +0 in the reference, whatever the zeros' signs.
  const float extreme = magnitude > 0.0f ? src[at] : 0.0f;
  const float d = extreme / -static_cast<float>(S::offset);
  store_half(dst, d);
  store_quants<S>(rounded_levels<S::levels>(x, inverse_of(d), static_cast<float>(S::offset) + 0.5f),
                  dst);
}

template <class S>
void quantize_ranged_block(const Floats& x, const float* src, std::byte* dst) {
  const __m256 low8 = _mm256_min_ps(_mm256_min_ps(x.v[0], x.v[1]), _mm256_min_ps(x.v[2], x.v[3]));
  const __m256 high8 = _mm256_max_ps(_mm256_max_ps(x.v[0], x.v[1]), _mm256_max_ps(x.v[2], x.v[3]));
  const auto first_equal = [&](float wanted) {
    const __m256 w = _mm256_set1_ps(wanted);
    return src[first_where(x, [&](__m256 v) { return _mm256_cmp_ps(v, w, _CMP_EQ_OQ); })];
  };
  const float low = first_equal(horizontal_min(low8));
  const float high = first_equal(horizontal_max(high8));
  const float d = (high - low) / static_cast<float>(S::levels);
  store_half(dst, d);
  store_half(dst + S::scale_bytes, low);
  const __m256 base = _mm256_set1_ps(low);
  const Floats from_low = {{_mm256_sub_ps(x.v[0], base), _mm256_sub_ps(x.v[1], base),
                            _mm256_sub_ps(x.v[2], base), _mm256_sub_ps(x.v[3], base)}};
  store_quants<S>(rounded_levels<S::levels>(from_low, inverse_of(d), 0.5f), dst);
}

// Halves away from zero, as C's round(): adds the largest float below one half, with x's sign, and
// truncates. One half itself would carry 0.49999997 up to 1; the sum of anything from n + 1/2 on
// rounds to n + 1 or more. Exact below 2^22; levels reach 127.
__m256i round_away(__m256 x) {
  const __m256 sign = _mm256_and_ps(x, _mm256_set1_ps(-0.0f));
  const __m256 almost_half = _mm256_or_ps(_mm256_set1_ps(0.49999997f), sign);
  return _mm256_cvttps_epi32(_mm256_add_ps(x, almost_half));
}

template <class S>
void quantize_byte_block(const Floats& x, std::byte* dst) {
  const float d = horizontal_max(largest_magnitude(x)) / 127.0f;
  store_half(dst, d);
  const __m256 scale = _mm256_set1_ps(inverse_of(d));
  const auto level = [&](__m256 v) { return round_away(_mm256_mul_ps(v, scale)); };
  store_quants<S>(low_bytes(level(x.v[0]), level(x.v[1]), level(x.v[2]), level(x.v[3])), dst);
}

template <class S>
std::size_t quantize_blocks(const float* src, std::byte* dst, std::size_t n) {
  static_assert(S::size == 32);
  for (std::size_t i = 0; i < n; i += S::size, dst += S::bytes) {
    const Floats x = load_block(src + i);
    if (!all_finite(x)) return i;
    if constexpr (S::bits == 8) {
      quantize_byte_block<S>(x, dst);
    } else if constexpr (S::has_min) {
      quantize_ranged_block<S>(x, src + i, dst);
    } else {
      quantize_signed_block<S>(x, src + i, dst);
    }
  }
  return n;
}

void quantize_activations(const float* x, std::size_t n, std::int8_t* q, float* scale,
                          std::int32_t* sum) {
  const __m256i one8 = _mm256_set1_epi8(1);
  const __m256i one16 = _mm256_set1_epi16(1);
  for (std::size_t b = 0; b < n / kBlock; ++b) {
    const Floats v = load_block(x + b * kBlock);
    const float magnitude = horizontal_max(largest_magnitude(v));
    scale[b] = magnitude / 127.0f;
    float inverse = magnitude > 0.0f ? 127.0f / magnitude : 0.0f;
    // A subnormal magnitude makes the inverse overflow; such a block is zero for all purposes.
    if (!(inverse <= std::numeric_limits<float>::max())) inverse = 0.0f;
    const __m256 s = _mm256_set1_ps(inverse);
    const auto level = [&](__m256 f) { return _mm256_cvtps_epi32(_mm256_mul_ps(f, s)); };
    const __m256i bytes = low_bytes(level(v.v[0]), level(v.v[1]), level(v.v[2]), level(v.v[3]));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(q + b * kBlock), bytes);
    sum[b] = horizontal_sum(_mm256_madd_epi16(_mm256_maddubs_epi16(one8, bytes), one16));
  }
}

// ---------------------------------------------------------------- packed tiles

__m256i broadcast4(const std::int8_t* a) {
  std::int32_t four;
  std::memcpy(&four, a, 4);
  return _mm256_set1_epi32(four);
}

__m256i load32(const std::byte* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

// The fifth bit of quad k in its place, from the block's high-bit vector.
template <int k>
__m256i high_of(__m256i highs) {
  const __m256i moved = k <= 4 ? _mm256_slli_epi16(highs, 4 - (k <= 4 ? k : 4))
                               : _mm256_srli_epi16(highs, (k > 4 ? k : 4) - 4);
  return _mm256_and_si256(moved, _mm256_set1_epi8(0x10));
}

// Integer dot products of one block with N tokens: eight int32, one a row.
template <PackedKind kind, int N>
struct BlockDot {
  static constexpr PackedLayout L = packed_layout(kind);

  // Unsigned 4-bit weights: eight maddubs results sum in 16 bits, at most 8 · 2 · 15 · 127 =
  // 30480. Five bits: four of them, 4 · 2 · 31 · 127 = 31496, then a widening.
  static void run(const std::byte* block, const std::int8_t* const* a, __m256i* dot) {
    const __m256i one16 = _mm256_set1_epi16(1);
    if constexpr (L.is_byte) {
      // maddubs takes unsigned × signed: |w| ≤ 128 and a with w's sign. A pair is at most
      // 2 · 128 · 127 = 32512, so each product widens at once.
      for (int t = 0; t < N; ++t) dot[t] = _mm256_setzero_si256();
      for (int k = 0; k < 8; ++k) {
        const __m256i w = load32(block + L.quants_at + 32 * k);
        const __m256i magnitude = _mm256_abs_epi8(w);
        for (int t = 0; t < N; ++t) {
          const __m256i signed_a = _mm256_sign_epi8(broadcast4(a[t] + 4 * k), w);
          const __m256i pairs = _mm256_maddubs_epi16(magnitude, signed_a);
          dot[t] = _mm256_add_epi32(dot[t], _mm256_madd_epi16(pairs, one16));
        }
      }
    } else if constexpr (L.has_high) {
      const __m256i mask = _mm256_set1_epi8(15);
      const __m256i highs = load32(block + L.highs_at);
      const __m256i v[4] = {load32(block + L.quants_at), load32(block + L.quants_at + 32),
                            load32(block + L.quants_at + 64), load32(block + L.quants_at + 96)};
      __m256i sum[N];
      const auto add = [&](int k, __m256i w, bool fresh) {
        for (int t = 0; t < N; ++t) {
          const __m256i p = _mm256_maddubs_epi16(w, broadcast4(a[t] + 4 * k));
          sum[t] = fresh ? p : _mm256_add_epi16(sum[t], p);
        }
      };
      const auto low = [&](int i) { return _mm256_and_si256(v[i], mask); };
      const auto high = [&](int i) { return _mm256_and_si256(_mm256_srli_epi16(v[i], 4), mask); };
      add(0, _mm256_or_si256(low(0), high_of<0>(highs)), true);
      add(1, _mm256_or_si256(low(1), high_of<1>(highs)), false);
      add(2, _mm256_or_si256(low(2), high_of<2>(highs)), false);
      add(3, _mm256_or_si256(low(3), high_of<3>(highs)), false);
      for (int t = 0; t < N; ++t) dot[t] = _mm256_madd_epi16(sum[t], one16);
      add(4, _mm256_or_si256(high(0), high_of<4>(highs)), true);
      add(5, _mm256_or_si256(high(1), high_of<5>(highs)), false);
      add(6, _mm256_or_si256(high(2), high_of<6>(highs)), false);
      add(7, _mm256_or_si256(high(3), high_of<7>(highs)), false);
      for (int t = 0; t < N; ++t) {
        dot[t] = _mm256_add_epi32(dot[t], _mm256_madd_epi16(sum[t], one16));
      }
    } else {
      const __m256i mask = _mm256_set1_epi8(15);
      __m256i sum[N];
      for (int t = 0; t < N; ++t) sum[t] = _mm256_setzero_si256();
      for (int i = 0; i < 4; ++i) {
        const __m256i v = load32(block + L.quants_at + 32 * i);
        const __m256i low = _mm256_and_si256(v, mask);
        const __m256i high = _mm256_and_si256(_mm256_srli_epi16(v, 4), mask);
        for (int t = 0; t < N; ++t) {
          sum[t] = _mm256_add_epi16(sum[t], _mm256_maddubs_epi16(low, broadcast4(a[t] + 4 * i)));
          sum[t] =
              _mm256_add_epi16(sum[t], _mm256_maddubs_epi16(high, broadcast4(a[t] + 16 + 4 * i)));
        }
      }
      for (int t = 0; t < N; ++t) dot[t] = _mm256_madd_epi16(sum[t], one16);
    }
  }
};

// Software prefetch distance for weights; about 4 KB ahead hides the latency of a large shared
// cache and costs nothing when they come from memory.
constexpr std::size_t kAhead = 4096;

template <PackedKind kind, int N>
void tile_tokens(const std::byte* tile, const ActivationView& x, std::size_t first, float* y,
                 std::size_t ldy, std::size_t rows) {
  constexpr PackedLayout L = packed_layout(kind);
  const std::size_t blocks = x.cols / kBlock;
  const std::int8_t* a[N];
  const float* scale[N];
  const std::int32_t* sum[N];
  __m256 total[N];
  for (int t = 0; t < N; ++t) {
    a[t] = x.q + (first + t) * x.cols;
    scale[t] = x.scale + (first + t) * blocks;
    sum[t] = x.sum + (first + t) * blocks;
    total[t] = _mm256_setzero_ps();
  }
  for (std::size_t b = 0; b < blocks; ++b, tile += L.block_bytes) {
    if constexpr (N == 1) {
      for (std::size_t line = 0; line < L.block_bytes; line += 64) {
        _mm_prefetch(reinterpret_cast<const char*>(tile) + kAhead + line, _MM_HINT_T0);
      }
    }
    __m256i dot[N];
    BlockDot<kind, N>::run(tile, a, dot);
    const __m256 w_scale = load_half8(tile);
    for (int t = 0; t < N; ++t) {
      if constexpr (L.offset != 0) {
        dot[t] = _mm256_sub_epi32(dot[t], _mm256_set1_epi32(L.offset * sum[t][b]));
      }
      const __m256 a_scale = _mm256_set1_ps(scale[t][b]);
      total[t] =
          _mm256_fmadd_ps(_mm256_mul_ps(w_scale, a_scale), _mm256_cvtepi32_ps(dot[t]), total[t]);
      if constexpr (L.has_min) {
        const __m256 a_sum = _mm256_set1_ps(scale[t][b] * static_cast<float>(sum[t][b]));
        total[t] = _mm256_fmadd_ps(load_half8(tile + L.mins_at), a_sum, total[t]);
      }
      a[t] += kBlock;
    }
  }
  for (int t = 0; t < N; ++t) {
    float* out = y + (first + t) * ldy;
    if (rows == kTileRows) {
      _mm256_storeu_ps(out, total[t]);
    } else {
      float lanes[kTileRows];
      _mm256_storeu_ps(lanes, total[t]);
      std::memcpy(out, lanes, rows * sizeof(float));
    }
  }
}

template <PackedKind kind>
void tile_matmul(const std::byte* tile, const ActivationView& x, std::size_t tokens, float* y,
                 std::size_t ldy, std::size_t rows) {
  std::size_t t = 0;
  for (; t + 4 <= tokens; t += 4) tile_tokens<kind, 4>(tile, x, t, y, ldy, rows);
  switch (tokens - t) {
    case 3:
      tile_tokens<kind, 3>(tile, x, t, y, ldy, rows);
      break;
    case 2:
      tile_tokens<kind, 2>(tile, x, t, y, ldy, rows);
      break;
    case 1:
      tile_tokens<kind, 1>(tile, x, t, y, ldy, rows);
      break;
    default:
      break;
  }
}

// ---------------------------------------------------------------- float weights

using Load8 = __m256 (*)(const std::byte*);

template <std::size_t bytes>
float load_one(const std::byte* p, Load8 load8) {
  std::byte padded[8 * 4] = {};
  std::memcpy(padded, p, bytes);
  return _mm256_cvtss_f32(load8(padded));
}

// R weight rows × T tokens in registers.
template <Load8 load8, std::size_t bytes, int R, int T>
void float_tile(const std::byte* w, std::size_t cols, const float* x, float* y, std::size_t ldy) {
  __m256 acc[R][T];
  for (int r = 0; r < R; ++r) {
    for (int t = 0; t < T; ++t) acc[r][t] = _mm256_setzero_ps();
  }
  std::size_t c = 0;
  for (; c + 8 <= cols; c += 8) {
    __m256 a[T];
    for (int t = 0; t < T; ++t) a[t] = _mm256_loadu_ps(x + t * cols + c);
    for (int r = 0; r < R; ++r) {
      const __m256 v = load8(w + (r * cols + c) * bytes);
      for (int t = 0; t < T; ++t) acc[r][t] = _mm256_fmadd_ps(v, a[t], acc[r][t]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int t = 0; t < T; ++t) {
      float total = horizontal_sum(acc[r][t]);
      for (std::size_t i = c; i < cols; ++i) {
        total += load_one<bytes>(w + (r * cols + i) * bytes, load8) * x[t * cols + i];
      }
      y[t * ldy + r] = total;
    }
  }
}

template <Load8 load8, std::size_t bytes, int R>
void float_rows(const std::byte* w, std::size_t cols, const float* x, std::size_t tokens, float* y,
                std::size_t ldy) {
  std::size_t t = 0;
  for (; t + 3 <= tokens; t += 3) {
    float_tile<load8, bytes, R, 3>(w, cols, x + t * cols, y + t * ldy, ldy);
  }
  for (; t < tokens; ++t) {
    float_tile<load8, bytes, R, 1>(w, cols, x + t * cols, y + t * ldy, ldy);
  }
}

template <Load8 load8, std::size_t bytes>
void matmul_float(const std::byte* w, std::size_t rows, std::size_t cols, const float* x,
                  std::size_t tokens, float* y, std::size_t ldy) {
  std::size_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    float_rows<load8, bytes, 4>(w + r * cols * bytes, cols, x, tokens, y + r, ldy);
  }
  for (; r < rows; ++r) {
    float_rows<load8, bytes, 1>(w + r * cols * bytes, cols, x, tokens, y + r, ldy);
  }
}

// ---------------------------------------------------------------- decoder steps

float dot_f16(const float* q, const std::uint16_t* k, std::size_t n) {
  const auto* bytes = reinterpret_cast<const std::byte*>(k);
  __m256 acc[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    acc[0] = _mm256_fmadd_ps(load_half8(bytes + 2 * i), _mm256_loadu_ps(q + i), acc[0]);
    acc[1] = _mm256_fmadd_ps(load_half8(bytes + 2 * i + 16), _mm256_loadu_ps(q + i + 8), acc[1]);
  }
  float total = horizontal_sum(_mm256_add_ps(acc[0], acc[1]));
  for (; i < n; ++i) total += q[i] * half_to_float(k[i]);
  return total;
}

void axpy_f16(float a, const std::uint16_t* v, float* y, std::size_t n) {
  const auto* bytes = reinterpret_cast<const std::byte*>(v);
  const __m256 factor = _mm256_set1_ps(a);
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256 sum = _mm256_fmadd_ps(factor, load_half8(bytes + 2 * i), _mm256_loadu_ps(y + i));
    _mm256_storeu_ps(y + i, sum);
  }
  for (; i < n; ++i) y[i] += a * half_to_float(v[i]);
}

// e^x by range reduction to [-ln 2 / 2, ln 2 / 2] and a degree-6 Taylor polynomial, whose error
// there is below 3e-7; x is clamped where float32 would over- or underflow.
__m256 exponential(__m256 x) {
  x = _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(-87.0f)), _mm256_set1_ps(88.0f));
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)),
                                   _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);  // ln 2, upper bits
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);      // and the rest
  constexpr float kInverseFactorials[] = {1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
  __m256 p = _mm256_set1_ps(1.0f / 720);
  for (const float c : kInverseFactorials) p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(c));
  const __m256i power =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(p, _mm256_castsi256_ps(power));
}

__m256 silu_mul8(__m256 gate, __m256 up) {
  const __m256 e = exponential(_mm256_sub_ps(_mm256_setzero_ps(), gate));
  return _mm256_mul_ps(_mm256_div_ps(gate, _mm256_add_ps(_mm256_set1_ps(1.0f), e)), up);
}

void silu_mul(const float* gate, const float* up, float* out, std::size_t n) {
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    _mm256_storeu_ps(out + i, silu_mul8(_mm256_loadu_ps(gate + i), _mm256_loadu_ps(up + i)));
  }
  if (i < n) {
    float lanes[2][8] = {};
    std::memcpy(lanes[0], gate + i, (n - i) * sizeof(float));
    std::memcpy(lanes[1], up + i, (n - i) * sizeof(float));
    _mm256_storeu_ps(lanes[0], silu_mul8(_mm256_loadu_ps(lanes[0]), _mm256_loadu_ps(lanes[1])));
    std::memcpy(out + i, lanes[0], (n - i) * sizeof(float));
  }
}

// ---------------------------------------------------------------- the table

template <class S>
void set_blocks(KernelTable& table, Type type) {
  table.types[static_cast<std::size_t>(type)] = {dequantize_blocks<S>, quantize_blocks<S>};
}

KernelTable make() {
  KernelTable t = scalar_table();  // the legacy layouts stay scalar
  t.name = "avx2";
  t.types[static_cast<std::size_t>(Type::f16)] = {dequantize_f16, quantize_f16};
  t.types[static_cast<std::size_t>(Type::bf16)].dequantize = dequantize_bf16;
  set_blocks<Q4_0>(t, Type::q4_0);
  set_blocks<Q4_1>(t, Type::q4_1);
  set_blocks<Q5_0>(t, Type::q5_0);
  set_blocks<Q5_1>(t, Type::q5_1);
  set_blocks<Q8_0>(t, Type::q8_0);
  t.quantize_activations = quantize_activations;
  const auto tile = [&t](PackedKind kind) -> TileKernel& {
    return t.tile[static_cast<std::size_t>(kind)];
  };
  tile(PackedKind::nibble) = tile_matmul<PackedKind::nibble>;
  tile(PackedKind::nibble_min) = tile_matmul<PackedKind::nibble_min>;
  tile(PackedKind::five) = tile_matmul<PackedKind::five>;
  tile(PackedKind::five_min) = tile_matmul<PackedKind::five_min>;
  tile(PackedKind::byte) = tile_matmul<PackedKind::byte>;
  t.matmul_f32 = matmul_float<load_float8, 4>;
  t.matmul_f16 = matmul_float<load_half8, 2>;
  t.matmul_bf16 = matmul_float<load_bf16x8, 2>;
  t.dot_f16 = dot_f16;
  t.axpy_f16 = axpy_f16;
  t.silu_mul = silu_mul;
  return t;
}

}  // namespace

const KernelTable& avx2_table() {
  static const KernelTable table = make();
  return table;
}

}  // namespace ggmlkit
