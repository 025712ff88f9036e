// Attention over cached positions on vectors of eight floats.
#include "kernels/generic/attention.h"
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/vector.h"

namespace ggmlkit::avx2 {
namespace {

struct Eight {
  using Float = __m256;
  static constexpr int lanes = 8;
  static constexpr int rows = 6;
  static constexpr int sums = 12;  // of sixteen registers; enough to hide a multiply-add's latency

  static Float broadcast(float x) { return _mm256_set1_ps(x); }
  static Float load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Float v) { _mm256_storeu_ps(p, v); }
  static Float multiply(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float multiply_add(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  static Float halves(const std::byte* p) { return load_half8(p); }
  static Float bytes(const std::byte* p) {
    const __m128i eight = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight));
  }
  template <int upper>
  static Float nibbles(const std::byte* p) {
    const __m128i eight = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    const __m256i wide = _mm256_cvtepi8_epi32(eight);
    return _mm256_cvtepi32_ps(
        _mm256_srai_epi32(upper ? wide : _mm256_slli_epi32(wide, 28), upper ? 4 : 28));
  }
};

}  // namespace

void fill_attention(KernelTable& table) { ggmlkit::fill_attention<Eight>(table); }

}  // namespace ggmlkit::avx2
