// SIMDe under the names of the intrinsics, and the few it lacks, made of 256-bit halves.
#pragma once

#define SIMDE_ENABLE_NATIVE_ALIASES
#define SIMDE_NO_INLINE  // or the matmul files take minutes to compile
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>

#include <cstdint>
#include <cstring>

namespace ggmlkit {
namespace {

inline __m512 join(__m256 low, __m256 high) {
  return _mm512_castpd_ps(
      _mm512_insertf64x4(_mm512_castps_pd(_mm512_castps256_ps512(low)), _mm256_castps_pd(high), 1));
}
inline __m512i join(__m256i low, __m256i high) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}
inline __m256 half(__m512 v, int i) {
  const __m512d d = _mm512_castps_pd(v);
  return _mm256_castpd_ps(i == 0 ? _mm512_castpd512_pd256(d) : _mm512_extractf64x4_pd(d, 1));
}
inline __m256i half(__m512i v, int i) {
  return i == 0 ? _mm512_castsi512_si256(v) : _mm512_extracti64x4_epi64(v, 1);
}
inline __m128i upper(__m256i v) { return _mm256_extracti128_si256(v, 1); }
inline __m128i lower(__m256i v) { return _mm256_castsi256_si128(v); }

inline __m512 emulated_cvtph_ps(__m256i v) {
  return join(_mm256_cvtph_ps(lower(v)), _mm256_cvtph_ps(upper(v)));
}
inline __m512 emulated_cvtepi32_ps(__m512i v) {
  return join(_mm256_cvtepi32_ps(half(v, 0)), _mm256_cvtepi32_ps(half(v, 1)));
}
inline __m512i emulated_cvtps_epi32(__m512 v) {
  return join(_mm256_cvtps_epi32(half(v, 0)), _mm256_cvtps_epi32(half(v, 1)));
}
inline __m512i emulated_cvttps_epi32(__m512 v) {
  return join(_mm256_cvttps_epi32(half(v, 0)), _mm256_cvttps_epi32(half(v, 1)));
}
// The low ends of sixteen lanes, as vector V of integers T.
template <class V, class T>
V low_ends(__m512i v) {
  std::int32_t lanes[16];
  T low[16];
  std::memcpy(lanes, &v, sizeof lanes);
  for (int i = 0; i < 16; ++i) low[i] = static_cast<T>(lanes[i]);
  V found;
  std::memcpy(&found, low, sizeof found);
  return found;
}
inline __m256i emulated_cvtepi32_epi16(__m512i v) { return low_ends<__m256i, std::int16_t>(v); }
inline __m128i emulated_cvtepi32_epi8(__m512i v) { return low_ends<__m128i, std::int8_t>(v); }
inline __m512i emulated_cvtepu16_epi32(__m256i v) {
  return join(_mm256_cvtepu16_epi32(lower(v)), _mm256_cvtepu16_epi32(upper(v)));
}
inline __m512i emulated_cvtepi8_epi32(__m128i v) {
  return join(_mm256_cvtepi8_epi32(v), _mm256_cvtepi8_epi32(_mm_srli_si128(v, 8)));
}
inline __m512i emulated_cvtepu8_epi32(__m128i v) {
  return join(_mm256_cvtepu8_epi32(v), _mm256_cvtepu8_epi32(_mm_srli_si128(v, 8)));
}
inline void emulated_mask_storeu_ps(float* p, __mmask16 mask, __m512 v) {
  float lanes[16];
  std::memcpy(lanes, &v, sizeof lanes);
  for (int i = 0; i < 16; ++i) {
    if ((mask >> i & 1) != 0) p[i] = lanes[i];
  }
}
inline __m512 emulated_maskz_loadu_ps(__mmask16 mask, const float* p) {
  float lanes[16];
  for (int i = 0; i < 16; ++i) lanes[i] = (mask >> i & 1) != 0 ? p[i] : 0.0f;
  return _mm512_loadu_ps(lanes);
}

}  // namespace
}  // namespace ggmlkit

#define _mm512_cvtph_ps ggmlkit::emulated_cvtph_ps
#define _mm512_cvtepi32_ps ggmlkit::emulated_cvtepi32_ps
#define _mm512_cvtps_epi32 ggmlkit::emulated_cvtps_epi32
#define _mm512_cvttps_epi32 ggmlkit::emulated_cvttps_epi32
#define _mm512_cvtepi32_epi16 ggmlkit::emulated_cvtepi32_epi16
#define _mm512_cvtepi32_epi8 ggmlkit::emulated_cvtepi32_epi8
#define _mm512_cvtepu16_epi32 ggmlkit::emulated_cvtepu16_epi32
#define _mm512_cvtepi8_epi32 ggmlkit::emulated_cvtepi8_epi32
#define _mm512_cvtepu8_epi32 ggmlkit::emulated_cvtepu8_epi32
#define _mm512_mask_storeu_ps ggmlkit::emulated_mask_storeu_ps
#define _mm512_maskz_loadu_ps ggmlkit::emulated_maskz_loadu_ps
#undef _mm512_madd_epi16  // SIMDe 0.7.4 gives it the arguments of the masked one
#define _mm512_madd_epi16 simde_mm512_madd_epi16
#define _mm256_dpbusd_avx_epi32 _mm256_dpbusd_epi32
