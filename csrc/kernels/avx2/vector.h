// Small vector helpers of the AVX2 files. Everything is local to the file that includes it: see
// core/convert.h.
#pragma once

#include <immintrin.h>

#include "kernels/blocks.h"

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

inline float horizontal_min(__m256 v) {
  __m128 s = _mm_min_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_min_ps(s, _mm_movehl_ps(s, s));
  s = _mm_min_ss(s, _mm_movehdup_ps(s));
  return _mm_cvtss_f32(s);
}

inline std::int32_t horizontal_sum(__m256i v) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
  return _mm_cvtsi128_si32(s);
}

// The eight pairs of int16 added up, each half for itself.
inline std::int32_t sum_of_int16_pairs(__m256i v) {
  __m128i s = _mm_add_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_add_epi16(s, _mm_shuffle_epi32(s, 0x4e));
  s = _mm_add_epi16(s, _mm_shuffle_epi32(s, 0xb1));
  return _mm_cvtsi128_si32(s);
}

// 32 floats of a block in four registers.
struct Floats {
  __m256 v[4];
};

inline Floats load_block(const float* x) {
  return {{_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8), _mm256_loadu_ps(x + 16),
           _mm256_loadu_ps(x + 24)}};
}

inline bool all_finite(const Floats& x) {
  const __m256i exponent = _mm256_set1_epi32(0x7f800000);
  __m256i bad = _mm256_setzero_si256();
  for (const __m256 v : x.v) {
    const __m256i e = _mm256_and_si256(_mm256_castps_si256(v), exponent);
    bad = _mm256_or_si256(bad, _mm256_cmpeq_epi32(e, exponent));
  }
  return _mm256_testz_si256(bad, bad) != 0;
}

inline __m256 largest_magnitude(const Floats& x) {
  return _mm256_max_ps(_mm256_max_ps(absolute(x.v[0]), absolute(x.v[1])),
                       _mm256_max_ps(absolute(x.v[2]), absolute(x.v[3])));
}

// Position of the first of 32 values for which `equal` holds; the reference quantizers take the
// first of equals, whose sign may differ.
template <class Equal>
inline int first_where(const Floats& x, Equal equal) {
  unsigned mask = 0;
  for (int i = 0; i < 4; ++i) {
    mask |= static_cast<unsigned>(_mm256_movemask_ps(equal(x.v[i]))) << (8 * i);
  }
  return __builtin_ctz(mask);
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

// Bit j of `bits` as byte j of the result: 0x10 where set.
inline __m256i high_bits_to_bytes(std::uint32_t bits) {
  const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                          2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ull));
  const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(bits)), spread);
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
  return _mm256_and_si256(set, _mm256_set1_epi8(0x10));
}

}  // namespace
}  // namespace ggmlkit::avx2
