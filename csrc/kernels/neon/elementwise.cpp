// Element-wise steps of the decoder: norm, rotation, softmax, gates.
#include <cmath>

#include "kernels/generic/gelu.h"
#include "kernels/neon/neon.h"
#include "kernels/neon/vector.h"

namespace ggmlkit::neon {
namespace {

// The last n < 4 elements as a vector, `rest` in the lanes beyond.
float32x4_t load_tail(const float* x, std::size_t n, float rest) {
  float lanes[4] = {rest, rest, rest, rest};
  std::memcpy(lanes, x, n * sizeof(float));
  return vld1q_f32(lanes);
}

void store_tail(float32x4_t v, float* y, std::size_t n) {
  float lanes[4];
  vst1q_f32(lanes, v);
  std::memcpy(y, lanes, n * sizeof(float));
}

// y[i] = f(i) for vectors of four; f is given what loads elements i … i + 3 of an array.
template <class F>
void map(float* y, std::size_t n, F f) {
  std::size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    vst1q_f32(y + i, f([i](const float* x) { return vld1q_f32(x + i); }));
  }
  if (i < n) {
    store_tail(f([i, n](const float* x) { return load_tail(x + i, n - i, 0.0f); }), y + i, n - i);
  }
}

// e^x by range reduction to [-ln 2 / 2, ln 2 / 2] and a degree-6 Taylor polynomial, whose error
// there is below 3e-7; x is clamped where float32 would over- or underflow.
float32x4_t exponential(float32x4_t x) {
  x = vminq_f32(vmaxq_f32(x, vdupq_n_f32(-87.0f)), vdupq_n_f32(88.0f));
  const float32x4_t n = vrndnq_f32(vmulq_n_f32(x, 1.44269504f));
  float32x4_t r = vfmsq_f32(x, n, vdupq_n_f32(0.693359375f));  // ln 2, upper bits
  r = vfmsq_f32(r, n, vdupq_n_f32(-2.12194440e-4f));           // and the rest
  constexpr float kInverseFactorials[] = {1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
  float32x4_t p = vdupq_n_f32(1.0f / 720);
  for (const float c : kInverseFactorials) p = vfmaq_f32(vdupq_n_f32(c), p, r);
  const int32x4_t power = vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23);
  return vmulq_f32(p, vreinterpretq_f32_s32(power));
}

float largest(const float* x, std::size_t n) {
  if (n < 4) return vmaxvq_f32(load_tail(x, n, x[0]));
  float32x4_t high = vld1q_f32(x + n - 4);
  for (std::size_t i = 0; i + 4 <= n; i += 4) high = vmaxq_f32(high, vld1q_f32(x + i));
  return vmaxvq_f32(high);
}

float exp_and_sum(float* x, std::size_t n, float highest) {
  const float32x4_t top = vdupq_n_f32(highest);
  float32x4_t sum = vdupq_n_f32(0.0f);
  std::size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const float32x4_t e = exponential(vsubq_f32(vld1q_f32(x + i), top));
    vst1q_f32(x + i, e);
    sum = vaddq_f32(sum, e);
  }
  float total = vaddvq_f32(sum);
  if (i < n) {
    store_tail(exponential(vsubq_f32(load_tail(x + i, n - i, highest), top)), x + i, n - i);
    for (; i < n; ++i) total += x[i];
  }
  return total;
}

void scale(float a, const float* x, float* y, std::size_t n) {
  map(y, n, [a, x](auto at) { return vmulq_n_f32(at(x), a); });
}

void add_scaled(float a, const float* x, float* y, std::size_t n) {
  map(y, n, [a, x, y](auto at) { return vfmaq_n_f32(at(y), at(x), a); });
}

float sum_of_squares(const float* x, std::size_t n) {
  float32x4_t sum[4];
  for (float32x4_t& s : sum) s = vdupq_n_f32(0.0f);
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (int k = 0; k < 4; ++k) {
      const float32x4_t v = vld1q_f32(x + i + 4 * k);
      sum[k] = vfmaq_f32(sum[k], v, v);
    }
  }
  float total = vaddvq_f32(vaddq_f32(vaddq_f32(sum[0], sum[1]), vaddq_f32(sum[2], sum[3])));
  for (; i < n; ++i) total += x[i] * x[i];
  return total;
}

void rms_norm(const float* x, const float* weight, float eps, float* out, std::size_t n) {
  const float factor = 1.0f / std::sqrt(sum_of_squares(x, n) / static_cast<float>(n) + eps);
  map(out, n, [=](auto at) { return vmulq_f32(vmulq_n_f32(at(x), factor), at(weight)); });
}

// Two pairs (a, b) at once: a·cos - b·sin, b·cos + a·sin.
float32x4_t rotate4(float32x4_t x, float32x4_t turns) {
  const float32x4_t sines = vtrn2q_f32(vnegq_f32(turns), turns);
  return vfmaq_f32(vmulq_f32(vrev64q_f32(x), sines), x, vtrn1q_f32(turns, turns));
}

void rotate(float* x, const float* turns, std::size_t pairs) {
  map(x, 2 * pairs, [=](auto at) { return rotate4(at(x), at(turns)); });
}

void rotate_halves(float* x, const float* turns, std::size_t pairs) {
  std::size_t i = 0;
  for (; i + 4 <= pairs; i += 4) {
    const float32x4_t a = vld1q_f32(x + i);
    const float32x4_t b = vld1q_f32(x + i + pairs);
    const float32x4_t cosine = vld1q_f32(turns + i);
    const float32x4_t sine = vld1q_f32(turns + i + pairs);
    vst1q_f32(x + i, vfmsq_f32(vmulq_f32(a, cosine), b, sine));
    vst1q_f32(x + i + pairs, vfmaq_f32(vmulq_f32(b, cosine), a, sine));
  }
  for (; i < pairs; ++i) {
    const float a = x[i];
    const float b = x[i + pairs];
    x[i] = a * turns[i] - b * turns[i + pairs];
    x[i + pairs] = b * turns[i] + a * turns[i + pairs];
  }
}

// gate / (1 + e^exponent) · up
float32x4_t gated(float32x4_t gate, float32x4_t exponent, float32x4_t up) {
  const float32x4_t e = exponential(exponent);
  return vmulq_f32(vdivq_f32(gate, vaddq_f32(vdupq_n_f32(1.0f), e)), up);
}

void silu_mul(const float* gate, const float* up, float* out, std::size_t n) {
  map(out, n, [=](auto at) {
    const float32x4_t g = at(gate);
    return gated(g, vnegq_f32(g), at(up));
  });
}

void gelu_mul(const float* gate, const float* up, float* out, std::size_t n) {
  map(out, n, [=](auto at) {
    const float32x4_t g = at(gate);
    const float32x4_t u = vfmaq_f32(g, vmulq_n_f32(vmulq_f32(g, g), kGeluCubic), g);
    return gated(g, vmulq_n_f32(u, -2.0f * kGeluScale), at(up));
  });
}

// tanh x is 1 - 2 / (1 + e^2x).
void soft_cap(float cap, float* x, std::size_t n) {
  map(x, n, [=](auto at) {
    const float32x4_t e = exponential(vmulq_n_f32(at(x), 2.0f / cap));
    const float32x4_t rest = vdivq_f32(vdupq_n_f32(2.0f * cap), vaddq_f32(vdupq_n_f32(1.0f), e));
    return vsubq_f32(vdupq_n_f32(cap), rest);
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

}  // namespace ggmlkit::neon
