// Float32 to blocks, bit-identical to scalar.
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/vector.h"

namespace ggmlkit::avx2 {
namespace {

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

// Nearest even, in the low half of each int32; a NaN stays one, quiet.
__m256i rounded_bf16(__m256 x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256 nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
  return _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(nan)), 16);
}

std::size_t quantize_bf16(const float* src, std::byte* dst, std::size_t n) {
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m256i low = rounded_bf16(_mm256_loadu_ps(src + i));
    const __m256i high = rounded_bf16(_mm256_loadu_ps(src + i + 8));
    const __m256i both = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst + 2 * i), both);
  }
  for (; i < n; ++i) {
    const std::uint16_t b = float_to_bf16(src[i]);
    std::memcpy(dst + 2 * i, &b, 2);
  }
  return n;
}

// Scales are computed for eight blocks at once, one a lane: a division serves them all, and their
// extremes are found without crossing a register eight times.
constexpr std::size_t kGroup = 8;

// Bytes from a load to what is prefetched. The hardware's own look-ahead stops at the
// end of each page, and a group takes long enough to feel that: with this, half as fast again from
// memory, whatever the distance between 1.5 and 8 KiB.
constexpr std::size_t kAhead = 4096;

// What eight blocks store and are divided by.
struct Scales {
  alignas(32) float stored[kGroup];
  alignas(32) float low[kGroup];
  alignas(32) float inverse[kGroup];
};

// 1/d, or 0 where d is 0.
__m256 inverse_of(__m256 d) {
  const __m256 some = _mm256_cmp_ps(d, _mm256_setzero_ps(), _CMP_NEQ_OQ);
  return _mm256_and_ps(_mm256_div_ps(_mm256_set1_ps(1.0f), d), some);
}

void prefetch_ahead_of(const float* x) {
  const auto* ahead = reinterpret_cast<const char*>(x) + kAhead;
  _mm_prefetch(ahead, _MM_HINT_T0);
  _mm_prefetch(ahead + 64, _MM_HINT_T0);
}

// Smallest and largest of each of eight blocks; false if a value is not finite.
bool find_extremes(const float* x, __m256& low, __m256& high) {
  __m256 lows[kGroup];
  __m256 highs[kGroup];
  __m256 nan[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  const __m256 zero = _mm256_setzero_ps();
  for (std::size_t b = 0; b < kGroup; ++b) {
    const Floats v = load_block(x + 32 * b);
    prefetch_ahead_of(x + 32 * b);
    lows[b] = _mm256_min_ps(_mm256_min_ps(v.v[0], v.v[1]), _mm256_min_ps(v.v[2], v.v[3]));
    highs[b] = _mm256_max_ps(_mm256_max_ps(v.v[0], v.v[1]), _mm256_max_ps(v.v[2], v.v[3]));
    // 0 · x is NaN where x is infinite or NaN, and stays NaN in the sum.
    for (int k = 0; k < 4; ++k) nan[k % 2] = _mm256_fmadd_ps(v.v[k], zero, nan[k % 2]);
  }
  low = reduced_rows(lows, [](__m256 a, __m256 b) { return _mm256_min_ps(a, b); });
  high = reduced_rows(highs, [](__m256 a, __m256 b) { return _mm256_max_ps(a, b); });
  return _mm256_movemask_ps(_mm256_cmp_ps(nan[0], nan[1], _CMP_UNORD_Q)) == 0;
}

// Calls f(block) for each lane that is set.
template <class F>
void for_each_lane(__m256 mask, F f) {
  for (int left = _mm256_movemask_ps(mask); left != 0; left &= left - 1) f(__builtin_ctz(left));
}

// The element of largest magnitude over -offset; of equals the first, whose sign may differ.
template <class S>
bool find_signed_scales(const float* x, Scales& scales) {
  __m256 low;
  __m256 high;
  if (!find_extremes(x, low, high)) return false;
  const __m256 below = _mm256_xor_ps(low, _mm256_set1_ps(-0.0f));
  const __m256 largest = _mm256_blendv_ps(low, high, _mm256_cmp_ps(high, below, _CMP_GT_OQ));
  const __m256 some = _mm256_cmp_ps(largest, _mm256_setzero_ps(), _CMP_NEQ_OQ);
  // A block of zeros has extreme +0 in the reference, whatever the zeros' signs.
  __m256 extreme = _mm256_and_ps(largest, some);
  const __m256 tied = _mm256_and_ps(_mm256_cmp_ps(high, below, _CMP_EQ_OQ), some);
  if (_mm256_movemask_ps(tied) != 0) {
    _mm256_store_ps(scales.stored, extreme);
    for_each_lane(
        tied, [&](int b) { scales.stored[b] = first_of_magnitude(x + 32 * b, scales.stored[b]); });
    extreme = _mm256_load_ps(scales.stored);
  }
  const __m256 d = _mm256_div_ps(extreme, _mm256_set1_ps(-static_cast<float>(S::offset)));
  _mm256_store_ps(scales.stored, d);
  _mm256_store_ps(scales.inverse, inverse_of(d));
  return true;
}

template <class S>
bool find_ranged_scales(const float* x, Scales& scales) {
  __m256 low;
  __m256 high;
  if (!find_extremes(x, low, high)) return false;
  // The difference of two zeros of unlike signs may be -0; the reference's never is.
  const __m256 range = absolute(_mm256_sub_ps(high, low));
  const __m256 d = _mm256_div_ps(range, _mm256_set1_ps(static_cast<float>(S::levels)));
  _mm256_store_ps(scales.stored, d);
  _mm256_store_ps(scales.inverse, inverse_of(d));
  _mm256_store_ps(scales.low, low);
  // Of zeros the reference takes the first, with its sign.
  for_each_lane(_mm256_cmp_ps(low, _mm256_setzero_ps(), _CMP_EQ_OQ),
                [&](int b) { scales.low[b] = first_of_magnitude(x + 32 * b, 0.0f); });
  return true;
}

bool find_byte_scales(const float* x, Scales& scales) {
  const auto larger_bits = [](__m256 a, __m256 b) {
    return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
  };
  __m256 rows[kGroup];
  for (std::size_t b = 0; b < kGroup; ++b) {
    const Floats v = load_block(x + 32 * b);
    prefetch_ahead_of(x + 32 * b);
    // As integers, magnitudes are ordered alike, and NaN above all.
    rows[b] = larger_bits(larger_bits(absolute(v.v[0]), absolute(v.v[1])),
                          larger_bits(absolute(v.v[2]), absolute(v.v[3])));
  }
  const __m256i largest = _mm256_castps_si256(reduced_rows(rows, larger_bits));
  const __m256i infinity = _mm256_set1_epi32(0x7f800000);
  const __m256 finite = _mm256_castsi256_ps(_mm256_cmpgt_epi32(infinity, largest));
  if (_mm256_movemask_ps(finite) != 0xff) return false;
  const __m256 d = _mm256_div_ps(_mm256_castsi256_ps(largest), _mm256_set1_ps(127.0f));
  const __m256 inverse = inverse_of(d);
  // A subnormal d's inverse overflows; the reference then stores zeros.
  const __m256 fits = _mm256_cmp_ps(inverse, _mm256_castsi256_ps(infinity), _CMP_NEQ_OQ);
  _mm256_store_ps(scales.stored, d);
  _mm256_store_ps(scales.inverse, _mm256_and_ps(inverse, fits));
  return true;
}

template <class S>
bool find_scales(const float* x, Scales& scales) {
  if constexpr (S::bits == 8) {
    return find_byte_scales(x, scales);
  } else if constexpr (S::has_min) {
    return find_ranged_scales<S>(x, scales);
  } else {
    return find_signed_scales<S>(x, scales);
  }
}

// Halves away from zero, as C's round(): adds the largest float below one half, with x's sign, and
// truncates. One half itself would carry 0.49999997 up to 1; the sum of anything from n + 1/2 on
// rounds to n + 1 or more. Exact below 2^22; levels reach 127.
__m256i round_away(__m256 x) {
  const __m256 sign = _mm256_and_ps(x, _mm256_set1_ps(-0.0f));
  const __m256 almost_half = _mm256_or_ps(_mm256_set1_ps(0.49999997f), sign);
  return _mm256_cvttps_epi32(_mm256_add_ps(x, almost_half));
}

// The block's integers in order. Multiply and add stay apart: the reference rounds between them.
// Where an inverse overflows, the conversion makes INT_MIN, which the pack turns into the
// reference's 0.
template <class S>
__m256i levels_of(const Floats& x, float low, float inverse) {
  const __m256 scale = _mm256_set1_ps(inverse);
  if constexpr (S::bits == 8) {
    const auto level = [&](__m256 v) { return round_away(_mm256_mul_ps(v, scale)); };
    return signed_bytes(level(x.v[0]), level(x.v[1]), level(x.v[2]), level(x.v[3]));
  } else {
    const __m256 base = _mm256_set1_ps(low);
    const __m256 shift = _mm256_set1_ps(static_cast<float>(S::offset) + 0.5f);
    const auto level = [&](__m256 v) {
      if constexpr (S::has_min) v = _mm256_sub_ps(v, base);
      return _mm256_cvttps_epi32(_mm256_add_ps(_mm256_mul_ps(v, scale), shift));
    };
    const __m256i q = unsigned_bytes(level(x.v[0]), level(x.v[1]), level(x.v[2]), level(x.v[3]));
    return _mm256_min_epu8(q, _mm256_set1_epi8(S::levels));
  }
}

// 32 integers below 16 as 16 bytes of two each.
template <Order order>
__m128i nibbles(__m256i q) {
  if constexpr (order == Order::halves) {
    const __m128i high = _mm256_extracti128_si256(q, 1);
    return _mm_or_si128(_mm256_castsi256_si128(q), _mm_slli_epi16(high, 4));
  } else {
    const __m256i pairs = _mm256_maddubs_epi16(q, _mm256_set1_epi16(0x1001));
    return _mm_packus_epi16(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
  }
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
    _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + S::quants_at), nibbles<S::order>(q));
  }
}

// Eight floats in the layout's form of a scale, ready to be copied one by one.
template <class S>
void store_scales(const float* values, std::byte* out) {
  const __m256 v = _mm256_load_ps(values);
  if constexpr (S::scale_bytes == 2) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out),
                     _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
  } else {
    _mm256_storeu_ps(reinterpret_cast<float*>(out), v);
  }
}

// Eight blocks; false if a value is not finite.
template <class S>
bool quantize_group(const float* src, std::byte* dst) {
  Scales scales;
  if (!find_scales<S>(src, scales)) return false;
  std::byte stored[kGroup * S::scale_bytes];
  std::byte lows[kGroup * S::scale_bytes];
  store_scales<S>(scales.stored, stored);
  if constexpr (S::has_min) store_scales<S>(scales.low, lows);
  for (std::size_t b = 0; b < kGroup; ++b, src += S::size, dst += S::bytes) {
    std::memcpy(dst, stored + b * S::scale_bytes, S::scale_bytes);
    if constexpr (S::has_min) {
      std::memcpy(dst + S::scale_bytes, lows + b * S::scale_bytes, S::scale_bytes);
    }
    store_quants<S>(levels_of<S>(load_block(src), scales.low[b], scales.inverse[b]), dst);
  }
  return true;
}

template <class S>
std::size_t quantize_blocks(const float* src, std::byte* dst, std::size_t n) {
  static_assert(S::size == 32);
  constexpr std::size_t group = kGroup * S::size;
  std::size_t i = 0;
  for (; i + group <= n; i += group, dst += kGroup * S::bytes) {
    if (!quantize_group<S>(src + i, dst)) return i;
  }
  if (i == n) return n;
  alignas(32) float padded[group] = {};
  std::byte blocks[kGroup * S::bytes];
  std::memcpy(padded, src + i, (n - i) * sizeof(float));
  if (!quantize_group<S>(padded, blocks)) return i;
  std::memcpy(dst, blocks, (n - i) / S::size * S::bytes);
  return n;
}

template <class S>
void set(KernelTable& table, Type type) {
  table.types[static_cast<std::size_t>(type)].quantize = quantize_blocks<S>;
}

}  // namespace

void fill_quantize(KernelTable& table) {
  table.types[static_cast<std::size_t>(Type::f16)].quantize = quantize_f16;
  table.types[static_cast<std::size_t>(Type::bf16)].quantize = quantize_bf16;
  set<Q4_0>(table, Type::q4_0);
  set<Q4_1>(table, Type::q4_1);
  set<Q5_0>(table, Type::q5_0);
  set<Q5_1>(table, Type::q5_1);
  set<Q8_0>(table, Type::q8_0);
  set<Q4_0V2>(table, Type::q4_0_v2);
  set<Q4_1V2>(table, Type::q4_1_v2);
  set<Q8_0V2>(table, Type::q8_0_v2);
  set<Q4_0V1>(table, Type::q4_0_v1);
  set<Q4_1V1>(table, Type::q4_1_v1);
  set<Q5_0V1>(table, Type::q5_0_v1);
  set<Q5_1V1>(table, Type::q5_1_v1);
}

}  // namespace ggmlkit::avx2
