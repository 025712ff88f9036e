// Sixteen floats, a group in each lane: see one_lane.h, which says what every function does.
#pragma once

#include <cstdint>

#include "kernels/avx512/columns.h"
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
  template <int N>
  static void load_groups(const float* x, SixteenLanes* out) {
    static_assert(N % 4 == 0);
    for (int i = 0; i < N; i += 4) {
      __m512 columns[4];
      load_columns(x + i, N, columns);
      for (int k = 0; k < 4; ++k) out[i + k] = {columns[k]};
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
};

}  // namespace
}  // namespace ggmlkit::avx512
