// Element-wise steps of the decoder: norm, rotation, softmax, gates.
#include <cmath>

#include "kernels/avx2/avx2.h"
#include "kernels/avx2/vector.h"
#include "kernels/generic/gelu.h"

namespace ggmlkit::avx2 {
namespace {

// The last n < 8 elements as a vector, `rest` in the lanes beyond.
__m256 load_tail(const float* x, std::size_t n, float rest) {
  float lanes[8];
  _mm256_storeu_ps(lanes, _mm256_set1_ps(rest));
  std::memcpy(lanes, x, n * sizeof(float));
  return _mm256_loadu_ps(lanes);
}

void store_tail(__m256 v, float* y, std::size_t n) {
  float lanes[8];
  _mm256_storeu_ps(lanes, v);
  std::memcpy(y, lanes, n * sizeof(float));
}

// y[i] = f(i) for vectors of eight; f is given what loads elements i … i + 7 of an array.
template <class F>
void map(float* y, std::size_t n, F f) {
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    _mm256_storeu_ps(y + i, f([i](const float* x) { return _mm256_loadu_ps(x + i); }));
  }
  if (i < n) {
    store_tail(f([i, n](const float* x) { return load_tail(x + i, n - i, 0.0f); }), y + i, n - i);
  }
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

float largest(const float* x, std::size_t n) {
  if (n < 8) return horizontal_max(load_tail(x, n, x[0]));
  __m256 high = _mm256_loadu_ps(x);
  for (std::size_t i = 8; i + 8 <= n; i += 8) high = _mm256_max_ps(high, _mm256_loadu_ps(x + i));
  return horizontal_max(_mm256_max_ps(high, _mm256_loadu_ps(x + n - 8)));
}

float exp_and_sum(float* x, std::size_t n, float highest) {
  const __m256 top = _mm256_set1_ps(highest);
  __m256 sum = _mm256_setzero_ps();
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256 e = exponential(_mm256_sub_ps(_mm256_loadu_ps(x + i), top));
    _mm256_storeu_ps(x + i, e);
    sum = _mm256_add_ps(sum, e);
  }
  float total = horizontal_sum(sum);
  if (i < n) {
    store_tail(exponential(_mm256_sub_ps(load_tail(x + i, n - i, highest), top)), x + i, n - i);
    for (; i < n; ++i) total += x[i];
  }
  return total;
}

void scale(float a, const float* x, float* y, std::size_t n) {
  map(y, n, [a, x](auto at) { return _mm256_mul_ps(_mm256_set1_ps(a), at(x)); });
}

void add_scaled(float a, const float* x, float* y, std::size_t n) {
  map(y, n, [a, x, y](auto at) { return _mm256_fmadd_ps(_mm256_set1_ps(a), at(x), at(y)); });
}

float sum_of_squares(const float* x, std::size_t n) {
  __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                   _mm256_setzero_ps()};
  std::size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    for (int k = 0; k < 4; ++k) {
      const __m256 v = _mm256_loadu_ps(x + i + 8 * k);
      sum[k] = _mm256_fmadd_ps(v, v, sum[k]);
    }
  }
  float total =
      horizontal_sum(_mm256_add_ps(_mm256_add_ps(sum[0], sum[1]), _mm256_add_ps(sum[2], sum[3])));
  for (; i < n; ++i) total += x[i] * x[i];
  return total;
}

void rms_norm(const float* x, const float* weight, float eps, float* out, std::size_t n) {
  const float factor = 1.0f / std::sqrt(sum_of_squares(x, n) / static_cast<float>(n) + eps);
  map(out, n, [=](auto at) {
    return _mm256_mul_ps(_mm256_mul_ps(at(x), _mm256_set1_ps(factor)), at(weight));
  });
}

// Four pairs (a, b) at once: a·cos - b·sin, b·cos + a·sin.
__m256 rotate8(__m256 x, __m256 turns) {
  const __m256 swapped = _mm256_permute_ps(x, 0xb1);
  return _mm256_fmaddsub_ps(x, _mm256_moveldup_ps(turns),
                            _mm256_mul_ps(swapped, _mm256_movehdup_ps(turns)));
}

void rotate(float* x, const float* turns, std::size_t pairs) {
  map(x, 2 * pairs, [=](auto at) { return rotate8(at(x), at(turns)); });
}

void rotate_halves(float* x, const float* turns, std::size_t pairs) {
  std::size_t i = 0;
  for (; i + 8 <= pairs; i += 8) {
    const __m256 a = _mm256_loadu_ps(x + i);
    const __m256 b = _mm256_loadu_ps(x + i + pairs);
    const __m256 cosine = _mm256_loadu_ps(turns + i);
    const __m256 sine = _mm256_loadu_ps(turns + i + pairs);
    _mm256_storeu_ps(x + i, _mm256_fmsub_ps(a, cosine, _mm256_mul_ps(b, sine)));
    _mm256_storeu_ps(x + i + pairs, _mm256_fmadd_ps(b, cosine, _mm256_mul_ps(a, sine)));
  }
  for (; i < pairs; ++i) {
    const float a = x[i];
    const float b = x[i + pairs];
    x[i] = a * turns[i] - b * turns[i + pairs];
    x[i + pairs] = b * turns[i] + a * turns[i + pairs];
  }
}

// gate / (1 + e^exponent) · up
__m256 gated(__m256 gate, __m256 exponent, __m256 up) {
  const __m256 e = exponential(exponent);
  return _mm256_mul_ps(_mm256_div_ps(gate, _mm256_add_ps(_mm256_set1_ps(1.0f), e)), up);
}

void silu_mul(const float* gate, const float* up, float* out, std::size_t n) {
  map(out, n, [=](auto at) {
    const __m256 g = at(gate);
    return gated(g, _mm256_sub_ps(_mm256_setzero_ps(), g), at(up));
  });
}

void gelu_mul(const float* gate, const float* up, float* out, std::size_t n) {
  map(out, n, [=](auto at) {
    const __m256 g = at(gate);
    const __m256 cubic = _mm256_mul_ps(_mm256_mul_ps(g, g), _mm256_set1_ps(kGeluCubic));
    const __m256 u = _mm256_fmadd_ps(cubic, g, g);
    return gated(g, _mm256_mul_ps(u, _mm256_set1_ps(-2.0f * kGeluScale)), at(up));
  });
}

// tanh x is 1 - 2 / (1 + e^2x).
void soft_cap(float cap, float* x, std::size_t n) {
  const __m256 rate = _mm256_set1_ps(2.0f / cap);
  map(x, n, [=](auto at) {
    const __m256 e = exponential(_mm256_mul_ps(at(x), rate));
    const __m256 rest =
        _mm256_div_ps(_mm256_set1_ps(2.0f * cap), _mm256_add_ps(_mm256_set1_ps(1.0f), e));
    return _mm256_sub_ps(_mm256_set1_ps(cap), rest);
  });
}

}  // namespace

void fill_elementwise(KernelTable& table) {
  table.largest = largest;
  table.exp_and_sum = exp_and_sum;
  table.scale = scale;
  table.add_scaled = add_scaled;
  table.rms_norm = rms_norm;
  table.rotate = rotate;
  table.rotate_halves = rotate_halves;
  table.silu_mul = silu_mul;
  table.gelu_mul = gelu_mul;
  table.soft_cap = soft_cap;
}

}  // namespace ggmlkit::avx2
