// Attention and element-wise steps of the decoder.
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/vector.h"

namespace ggmlkit::avx2 {
namespace {

float dot_f16(const float* q, const std::uint16_t* k, std::size_t n) {
  const auto* bytes = reinterpret_cast<const std::byte*>(k);
  __m256 acc[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    acc[0] = _mm256_fmadd_ps(load_half8(bytes + 2 * i), _mm256_loadu_ps(q + i), acc[0]);
    acc[1] = _mm256_fmadd_ps(load_half8(bytes + 2 * i + 16), _mm256_loadu_ps(q + i + 8), acc[1]);
  }
  float total = horizontal_sum(_mm256_add_ps(acc[0], acc[1]));
  for (; i < n; ++i) total += q[i] * half_to_float(k[i]);
  return total;
}

void axpy_f16(float a, const std::uint16_t* v, float* y, std::size_t n) {
  const auto* bytes = reinterpret_cast<const std::byte*>(v);
  const __m256 factor = _mm256_set1_ps(a);
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256 sum = _mm256_fmadd_ps(factor, load_half8(bytes + 2 * i), _mm256_loadu_ps(y + i));
    _mm256_storeu_ps(y + i, sum);
  }
  for (; i < n; ++i) y[i] += a * half_to_float(v[i]);
}

// e^x by range reduction to [-ln 2 / 2, ln 2 / 2] and a degree-6 Taylor polynomial, whose error
// there is below 3e-7; x is clamped where float32 would over- or underflow.
__m256 exponential(__m256 x) {
  x = _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(-87.0f)), _mm256_set1_ps(88.0f));
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)),
                                   _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);  // ln 2, upper bits
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);      // and the rest
  constexpr float kInverseFactorials[] = {1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
  __m256 p = _mm256_set1_ps(1.0f / 720);
  for (const float c : kInverseFactorials) p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(c));
  const __m256i power =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(p, _mm256_castsi256_ps(power));
}

__m256 silu_mul8(__m256 gate, __m256 up) {
  const __m256 e = exponential(_mm256_sub_ps(_mm256_setzero_ps(), gate));
  return _mm256_mul_ps(_mm256_div_ps(gate, _mm256_add_ps(_mm256_set1_ps(1.0f), e)), up);
}

void silu_mul(const float* gate, const float* up, float* out, std::size_t n) {
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    _mm256_storeu_ps(out + i, silu_mul8(_mm256_loadu_ps(gate + i), _mm256_loadu_ps(up + i)));
  }
  if (i < n) {
    float lanes[2][8] = {};
    std::memcpy(lanes[0], gate + i, (n - i) * sizeof(float));
    std::memcpy(lanes[1], up + i, (n - i) * sizeof(float));
    _mm256_storeu_ps(lanes[0], silu_mul8(_mm256_loadu_ps(lanes[0]), _mm256_loadu_ps(lanes[1])));
    std::memcpy(out + i, lanes[0], (n - i) * sizeof(float));
  }
}

}  // namespace

void fill_decoder_steps(KernelTable& table) {
  table.dot_f16 = dot_f16;
  table.axpy_f16 = axpy_f16;
  table.silu_mul = silu_mul;
}

}  // namespace ggmlkit::avx2
