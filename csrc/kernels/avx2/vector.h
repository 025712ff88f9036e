// Small vector helpers of the AVX2 files. Everything is local to the file that includes it: see
// core/convert.h.
#pragma once

#include <immintrin.h>

#include "kernels/layouts/blocks.h"

namespace ggmlkit::avx2 {
namespace {

inline __m256 load_half8(const std::byte* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

inline __m256 load_bf16x8(const std::byte* p) {
  const __m128i h = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

inline __m256 load_float8(const std::byte* p) {
  return _mm256_loadu_ps(reinterpret_cast<const float*>(p));
}

inline __m256 absolute(__m256 x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }

inline float horizontal_sum(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  s = _mm_add_ss(s, _mm_movehdup_ps(s));
  return _mm_cvtss_f32(s);
}

inline float horizontal_max(__m256 v) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  s = _mm_max_ss(s, _mm_movehdup_ps(s));
  return _mm_cvtss_f32(s);
}

// The four or eight pairs of int16 added up, each half for itself.
inline std::int32_t sum_of_int16_pairs(__m128i v) {
  __m128i s = _mm_add_epi16(v, _mm_shuffle_epi32(v, 0x4e));
  s = _mm_add_epi16(s, _mm_shuffle_epi32(s, 0xb1));
  return _mm_cvtsi128_si32(s);
}
inline std::int32_t sum_of_int16_pairs(__m256i v) {
  return sum_of_int16_pairs(
      _mm_add_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)));
}

// 32 floats of a block in four registers.
struct Floats {
  __m256 v[4];
};

inline Floats load_block(const float* x) {
  return {{_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8), _mm256_loadu_ps(x + 16),
           _mm256_loadu_ps(x + 24)}};
}

inline __m256 largest_magnitude(const Floats& x) {
  return _mm256_max_ps(_mm256_max_ps(absolute(x.v[0]), absolute(x.v[1])),
                       _mm256_max_ps(absolute(x.v[2]), absolute(x.v[3])));
}

// The first of 32 values that equals `wanted` but for the sign; there is one.
inline float first_of_magnitude(const float* x, float wanted) {
  const __m256 w = absolute(_mm256_set1_ps(wanted));
  unsigned mask = 0;
  for (int k = 0; k < 4; ++k) {
    const __m256 equal = _mm256_cmp_ps(absolute(_mm256_loadu_ps(x + 8 * k)), w, _CMP_EQ_OQ);
    mask |= static_cast<unsigned>(_mm256_movemask_ps(equal)) << (8 * k);
  }
  return x[__builtin_ctz(mask)];
}

// Lane b: `op` over the lanes of row b.
template <class Op>
inline __m256 reduced_rows(const __m256 (&rows)[8], Op op) {
  const auto pair = [&](__m256 a, __m256 b) {
    return op(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
  };
  const auto four = [&](int at) {
    const __m256d ab = _mm256_castps_pd(pair(rows[at], rows[at + 1]));
    const __m256d cd = _mm256_castps_pd(pair(rows[at + 2], rows[at + 3]));
    return op(_mm256_castpd_ps(_mm256_unpacklo_pd(ab, cd)),
              _mm256_castpd_ps(_mm256_unpackhi_pd(ab, cd)));
  };
  const __m256 a = four(0);
  const __m256 b = four(4);
  return op(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
}

// Four registers of int32 to 32 bytes in order, each the low byte of its int32.
inline __m256i low_bytes(__m256i a, __m256i b, __m256i c, __m256i d) {
  const auto sign_extend = [](__m256i v) {
    return _mm256_srai_epi32(_mm256_slli_epi32(v, 24), 24);
  };
  const __m256i ab = _mm256_packs_epi32(sign_extend(a), sign_extend(b));
  const __m256i cd = _mm256_packs_epi32(sign_extend(c), sign_extend(d));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  return _mm256_permutevar8x32_epi32(_mm256_packs_epi16(ab, cd), order);
}

// The same for numbers that fit, or saturate: unsigned and signed.
inline __m256i unsigned_bytes(__m256i a, __m256i b, __m256i c, __m256i d) {
  const __m256i bytes = _mm256_packus_epi16(_mm256_packus_epi32(a, b), _mm256_packus_epi32(c, d));
  return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

inline __m256i signed_bytes(__m256i a, __m256i b, __m256i c, __m256i d) {
  const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
  return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

// Bit j of `bits` as byte j of the result: 0x10 where set.
inline __m256i high_bits_to_bytes(std::uint32_t bits) {
  const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                          2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ull));
  const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(bits)), spread);
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
  return _mm256_and_si256(set, _mm256_set1_epi8(0x10));
}

// The nibbles of 16 bytes as 32 bytes in order.
template <Order order>
inline __m256i load_nibbles(const std::byte* p) {
  const __m128i packed = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  if constexpr (order == Order::halves) {
    const __m256i upper_last =
        _mm256_srlv_epi64(_mm256_broadcastsi128_si256(packed), _mm256_setr_epi64x(0, 0, 4, 4));
    return _mm256_and_si256(upper_last, _mm256_set1_epi8(15));
  } else {
    const __m128i low = _mm_and_si128(packed, _mm_set1_epi8(15));
    const __m128i high = _mm_and_si128(_mm_srli_epi16(packed, 4), _mm_set1_epi8(15));
    return _mm256_set_m128i(_mm_unpackhi_epi8(low, high), _mm_unpacklo_epi8(low, high));
  }
}

// The stored integers of a block of 32 as bytes, before the offset.
template <class S>
inline __m256i block_codes(const std::byte* block) {
  const std::byte* quants = block + S::quants_at;
  if constexpr (S::bits == 8) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(quants));
  } else if constexpr (S::bits == 4) {
    return load_nibbles<S::order>(quants);
  } else {
    std::uint32_t high;
    std::memcpy(&high, block + S::high_at, 4);
    return _mm256_or_si256(load_nibbles<S::order>(quants), high_bits_to_bytes(high));
  }
}

}  // namespace
}  // namespace ggmlkit::avx2
