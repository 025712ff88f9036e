// Attention over cached positions on vectors of sixteen floats: a group's positions.
#include "kernels/generic/attention.h"
#include "kernels/avx512/avx512.h"
#include "kernels/simd.h"

namespace ggmlkit::avx512 {
namespace {

struct Sixteen {
  using Float = __m512;
  static constexpr int lanes = 16;
  static constexpr int rows = 6;
  static constexpr int sums = 24;  // of 32 registers

  static Float broadcast(float x) { return _mm512_set1_ps(x); }
  static Float load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Float v) { _mm512_storeu_ps(p, v); }
  static Float multiply(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float multiply_add(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Float halves(const std::byte* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Float bytes(const std::byte* p) {
    const __m128i sixteen = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(sixteen));
  }
  template <int upper>
  static Float nibbles(const std::byte* p) {
    const __m128i sixteen = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m512i wide = _mm512_cvtepu8_epi32(sixteen);
    // The floats of 4-bit integers; a lookup reads the lowest four bits alone.
    const __m512 levels = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1);
    return _mm512_permutexvar_ps(upper ? _mm512_srli_epi32(wide, 4) : wide, levels);
  }
};

}  // namespace

void fill_attention(KernelTable& table) { ggmlkit::fill_attention<Sixteen>(table); }

}  // namespace ggmlkit::avx512
