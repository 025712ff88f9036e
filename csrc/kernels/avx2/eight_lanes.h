// Eight floats, a group in each lane: see one_lane.h, which says what every function does.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/avx2/columns.h"

namespace ggmlkit::avx2 {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

struct EightLanes {
  static constexpr int count = 8;
  using Part = EightLanes;
  struct Mask {
    __m256 m;
  };

  __m256 v;

  static EightLanes all(float x) { return {_mm256_set1_ps(x)}; }
  static EightLanes load(const float* p) { return {_mm256_loadu_ps(p)}; }
  void store(float* p) const { _mm256_storeu_ps(p, v); }
  void store_bytes(std::uint8_t* p) const {
    const __m256i i = _mm256_cvttps_epi32(v);
    const __m128i words =
        _mm_packus_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(words, words));
  }
  template <int N>
  static void load_groups(const float* x, EightLanes* out) {
    static_assert(N % 8 == 0);
    for (int i = 0; i < N; i += 8) {
      __m256 columns[8];
      load_columns(x + i, N, columns);
      for (int k = 0; k < 8; ++k) out[i + k] = {columns[k]};
    }
  }

  friend EightLanes operator+(EightLanes a, EightLanes b) { return {_mm256_add_ps(a.v, b.v)}; }
  friend EightLanes operator-(EightLanes a, EightLanes b) { return {_mm256_sub_ps(a.v, b.v)}; }
  friend EightLanes operator*(EightLanes a, EightLanes b) { return {_mm256_mul_ps(a.v, b.v)}; }
  friend EightLanes operator/(EightLanes a, EightLanes b) { return {_mm256_div_ps(a.v, b.v)}; }
  friend EightLanes operator-(EightLanes a) { return {_mm256_xor_ps(a.v, _mm256_set1_ps(-0.0f))}; }
  friend Mask operator<(EightLanes a, EightLanes b) {
    return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)};
  }
  friend Mask operator>(EightLanes a, EightLanes b) {
    return {_mm256_cmp_ps(a.v, b.v, _CMP_GT_OQ)};
  }
  friend Mask operator!=(EightLanes a, EightLanes b) {
    return {_mm256_cmp_ps(a.v, b.v, _CMP_NEQ_UQ)};
  }
  static Mask both(Mask a, Mask b) { return {_mm256_and_ps(a.m, b.m)}; }
  static bool any(Mask m) { return _mm256_movemask_ps(m.m) != 0; }
  static unsigned bits(Mask m) { return static_cast<unsigned>(_mm256_movemask_ps(m.m)); }
  static EightLanes select(Mask m, EightLanes yes, EightLanes no) {
    return {_mm256_blendv_ps(no.v, yes.v, m.m)};
  }
  static EightLanes absolute(EightLanes a) {
    return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)};
  }
  static EightLanes root(EightLanes a) { return {_mm256_sqrt_ps(a.v)}; }
  static EightLanes nearest(EightLanes a, int low, int high) {
    constexpr int zero = 0x400000;
    const __m256 magic = _mm256_set1_ps(12582912.0f);
    const __m256i sum = _mm256_castps_si256(_mm256_add_ps(a.v, magic));
    const __m256i bits = _mm256_and_si256(sum, _mm256_set1_epi32(0x7fffff));
    const __m256i least = _mm256_max_epi32(bits, _mm256_set1_epi32(zero + low));
    const __m256i most = _mm256_min_epi32(least, _mm256_set1_epi32(zero + high));
    // The exponent of 2^23 put back.
    const __m256i whole = _mm256_or_si256(most, _mm256_set1_epi32(0x4b000000));
    return {_mm256_sub_ps(_mm256_castsi256_ps(whole), magic)};
  }
};

}  // namespace
}  // namespace ggmlkit::avx2
