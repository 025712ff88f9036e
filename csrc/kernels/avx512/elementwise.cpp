// Element-wise steps of the decoder whose arithmetic outweighs their memory: all exponentials.
#include "kernels/avx512/avx512.h"
#include "kernels/simd.h"

namespace ggmlkit::avx512 {
namespace {

// e^x by range reduction to [-ln 2 / 2, ln 2 / 2] and a degree-6 Taylor polynomial, whose error
// there is below 3e-7; x is clamped where float32 would over- or underflow.
__m512 exponential(__m512 x) {
  x = _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(-87.0f)), _mm512_set1_ps(88.0f));
  const __m512i power = _mm512_cvtps_epi32(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)));
  const __m512 n = _mm512_cvtepi32_ps(power);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);  // ln 2, upper bits
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);      // and the rest
  constexpr float kInverseFactorials[] = {1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
  __m512 p = _mm512_set1_ps(1.0f / 720);
  for (const float c : kInverseFactorials) p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
  const __m512i two_to_n = _mm512_slli_epi32(_mm512_add_epi32(power, _mm512_set1_epi32(127)), 23);
  return _mm512_mul_ps(p, _mm512_castsi512_ps(two_to_n));
}

__m512 silu_mul16(__m512 gate, __m512 up) {
  const __m512 e = exponential(_mm512_sub_ps(_mm512_setzero_ps(), gate));
  return _mm512_mul_ps(_mm512_div_ps(gate, _mm512_add_ps(_mm512_set1_ps(1.0f), e)), up);
}

constexpr std::size_t kLanes = 16;

__mmask16 first(std::size_t n) { return static_cast<__mmask16>((1u << n) - 1u); }

void silu_mul(const float* gate, const float* up, float* out, std::size_t n) {
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    _mm512_storeu_ps(out + i, silu_mul16(_mm512_loadu_ps(gate + i), _mm512_loadu_ps(up + i)));
  }
  if (i == n) return;
  const __m512 g = _mm512_maskz_loadu_ps(first(n - i), gate + i);
  const __m512 u = _mm512_maskz_loadu_ps(first(n - i), up + i);
  _mm512_mask_storeu_ps(out + i, first(n - i), silu_mul16(g, u));
}

float exp_and_sum(float* x, std::size_t n, float highest) {
  const __m512 top = _mm512_set1_ps(highest);
  __m512 sum = _mm512_setzero_ps();
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const __m512 e = exponential(_mm512_sub_ps(_mm512_loadu_ps(x + i), top));
    _mm512_storeu_ps(x + i, e);
    sum = _mm512_add_ps(sum, e);
  }
  if (i < n) {
    const __mmask16 rest = first(n - i);
    const __m512 e = exponential(_mm512_sub_ps(_mm512_maskz_loadu_ps(rest, x + i), top));
    _mm512_mask_storeu_ps(x + i, rest, e);
    sum = _mm512_mask_add_ps(sum, rest, sum, e);
  }
  float lanes[kLanes];
  _mm512_storeu_ps(lanes, sum);
  for (std::size_t step = kLanes / 2; step > 0; step /= 2) {
    for (std::size_t j = 0; j < step; ++j) lanes[j] += lanes[j + step];
  }
  return lanes[0];
}

}  // namespace

void fill_elementwise(KernelTable& table) {
  table.silu_mul = silu_mul;
  table.exp_and_sum = exp_and_sum;
}

}  // namespace ggmlkit::avx512
