// Sixteen floats, a group in each lane: see one_lane.h, which says what every function does.
#pragma once

#include <cstdint>

#include "kernels/simd.h"

namespace ggmlkit::avx512 {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

struct SixteenLanes {
  static constexpr int count = 16;
  using Part = SixteenLanes;
  struct Mask {
    __mmask16 m;
  };

  __m512 v;

  static SixteenLanes all(float x) { return {_mm512_set1_ps(x)}; }
  static SixteenLanes load(const float* p) { return {_mm512_loadu_ps(p)}; }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  void store_bytes(std::uint8_t* p) const {
    const __m128i bytes = _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(v));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
  }
  // Four elements of the groups j, j + 4, j + 8 and j + 12 in a vector each: what is left is to
  // turn 4 x 4 elements within their quarters.
  template <int N>
  static void load_groups(const float* x, SixteenLanes* out) {
    static_assert(N % 4 == 0);
    for (int i = 0; i < N; i += 4) {
      __m512 rows[4];
      for (int j = 0; j < 4; ++j) rows[j] = quarters(x + j * N + i, 4 * N);
      const __m512 ab_low = _mm512_unpacklo_ps(rows[0], rows[1]);
      const __m512 ab_high = _mm512_unpackhi_ps(rows[0], rows[1]);
      const __m512 cd_low = _mm512_unpacklo_ps(rows[2], rows[3]);
      const __m512 cd_high = _mm512_unpackhi_ps(rows[2], rows[3]);
      out[i] = {_mm512_shuffle_ps(ab_low, cd_low, 0x44)};
      out[i + 1] = {_mm512_shuffle_ps(ab_low, cd_low, 0xee)};
      out[i + 2] = {_mm512_shuffle_ps(ab_high, cd_high, 0x44)};
      out[i + 3] = {_mm512_shuffle_ps(ab_high, cd_high, 0xee)};
    }
  }

  friend SixteenLanes operator+(SixteenLanes a, SixteenLanes b) {
    return {_mm512_add_ps(a.v, b.v)};
  }
  friend SixteenLanes operator-(SixteenLanes a, SixteenLanes b) {
    return {_mm512_sub_ps(a.v, b.v)};
  }
  friend SixteenLanes operator*(SixteenLanes a, SixteenLanes b) {
    return {_mm512_mul_ps(a.v, b.v)};
  }
  friend SixteenLanes operator/(SixteenLanes a, SixteenLanes b) {
    return {_mm512_div_ps(a.v, b.v)};
  }
  friend SixteenLanes operator-(SixteenLanes a) {
    return {_mm512_xor_ps(a.v, _mm512_set1_ps(-0.0f))};
  }
  friend Mask operator<(SixteenLanes a, SixteenLanes b) {
    return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)};
  }
  friend Mask operator>(SixteenLanes a, SixteenLanes b) {
    return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ)};
  }
  friend Mask operator!=(SixteenLanes a, SixteenLanes b) {
    return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_NEQ_UQ)};
  }
  static Mask both(Mask a, Mask b) { return {static_cast<__mmask16>(a.m & b.m)}; }
  static bool any(Mask m) { return m.m != 0; }
  static SixteenLanes select(Mask m, SixteenLanes yes, SixteenLanes no) {
    return {_mm512_mask_blend_ps(m.m, no.v, yes.v)};
  }
  static SixteenLanes absolute(SixteenLanes a) {
    return {_mm512_andnot_ps(_mm512_set1_ps(-0.0f), a.v)};
  }
  static SixteenLanes root(SixteenLanes a) { return {_mm512_sqrt_ps(a.v)}; }
  static SixteenLanes nearest(SixteenLanes a, int low, int high) {
    constexpr int zero = 0x400000;
    const __m512 magic = _mm512_set1_ps(12582912.0f);
    const __m512i sum = _mm512_castps_si512(_mm512_add_ps(a.v, magic));
    const __m512i bits = _mm512_and_si512(sum, _mm512_set1_epi32(0x7fffff));
    const __m512i least = _mm512_max_epi32(bits, _mm512_set1_epi32(zero + low));
    const __m512i most = _mm512_min_epi32(least, _mm512_set1_epi32(zero + high));
    // The exponent of 2^23 put back.
    const __m512i whole = _mm512_or_si512(most, _mm512_set1_epi32(0x4b000000));
    return {_mm512_sub_ps(_mm512_castsi512_ps(whole), magic)};
  }

 private:
  static __m512 quarters(const float* p, int stride) {
    const __m256 first =
        _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + stride), 1);
    const __m256 second = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p + 2 * stride)),
                                               _mm_loadu_ps(p + 3 * stride), 1);
    return _mm512_insertf32x8(_mm512_castps256_ps512(first), second, 1);
  }
};

}  // namespace
}  // namespace ggmlkit::avx512
