// Small vector helpers of the AVX-512 files. Everything is local to the file that includes it: see
// core/convert.h.
#pragma once

#include "kernels/blocks.h"
#include "kernels/simd.h"

namespace ggmlkit::avx512 {
namespace {

inline __m256i load32(const std::byte* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

inline __m512 load_half16(const std::byte* p) { return _mm512_cvtph_ps(load32(p)); }

inline __m512 load_bf16x16(const std::byte* p) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load32(p)), 16));
}

inline __m512 load_float16(const std::byte* p) { return _mm512_loadu_ps(p); }

inline __m256 lower_half(__m512 v) { return _mm512_castps512_ps256(v); }
inline __m256 upper_half(__m512 v) {
  return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1));
}

inline float horizontal_sum(__m512 v) {
  const __m256 h = _mm256_add_ps(lower_half(v), upper_half(v));
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  s = _mm_add_ss(s, _mm_movehdup_ps(s));
  return _mm_cvtss_f32(s);
}

inline float horizontal_max(__m512 v) {
  const __m256 h = _mm256_max_ps(lower_half(v), upper_half(v));
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  s = _mm_max_ss(s, _mm_movehdup_ps(s));
  return _mm_cvtss_f32(s);
}

inline float horizontal_min(__m512 v) {
  const __m256 h = _mm256_min_ps(lower_half(v), upper_half(v));
  __m128 s = _mm_min_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  s = _mm_min_ps(s, _mm_movehl_ps(s, s));
  s = _mm_min_ss(s, _mm_movehdup_ps(s));
  return _mm_cvtss_f32(s);
}

// 32 floats of a block in two registers.
struct Floats {
  __m512 low;
  __m512 high;
};

inline Floats load_block(const float* x) { return {_mm512_loadu_ps(x), _mm512_loadu_ps(x + 16)}; }

// Which of 32 values compare so with v.
template <int comparison>
inline std::uint32_t compare(const Floats& x, __m512 v) {
  const auto low = static_cast<std::uint32_t>(_mm512_cmp_ps_mask(x.low, v, comparison));
  const auto high = static_cast<std::uint32_t>(_mm512_cmp_ps_mask(x.high, v, comparison));
  return low | (high << 16);
}

inline Floats absolute(const Floats& x) { return {_mm512_abs_ps(x.low), _mm512_abs_ps(x.high)}; }

inline bool all_finite(const Floats& magnitudes) {
  const __m512 infinity = _mm512_castsi512_ps(_mm512_set1_epi32(0x7f800000));
  return compare<_CMP_LT_OQ>(magnitudes, infinity) == 0xffffffffu;
}

inline float largest(const Floats& x) { return horizontal_max(_mm512_max_ps(x.low, x.high)); }
inline float smallest(const Floats& x) { return horizontal_min(_mm512_min_ps(x.low, x.high)); }

// Position of the first of 32 values that equals v; the reference quantizers take the first of
// equals, whose sign may differ.
inline int first_equal(const Floats& x, float v) {
  return __builtin_ctz(compare<_CMP_EQ_OQ>(x, _mm512_set1_ps(v)));
}

// Two registers of int32 to 32 bytes, each the low byte of its int32.
inline __m256i low_bytes(__m512i low, __m512i high) {
  return _mm256_set_m128i(_mm512_cvtepi32_epi8(high), _mm512_cvtepi32_epi8(low));
}

// Bit j of `bits` as byte j of the result: 0x10 where set.
inline __m256i high_bits_to_bytes(std::uint32_t bits) {
  return _mm256_maskz_mov_epi8(bits, _mm256_set1_epi8(0x10));
}

}  // namespace
}  // namespace ggmlkit::avx512
