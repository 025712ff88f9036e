// Element-wise steps of the decoder.
#include <algorithm>
#include <cmath>

#include "kernels/generic/gelu.h"
#include "kernels/kernel_table.h"

namespace ggmlkit {
namespace {

float largest(const float* x, std::size_t n) { return *std::max_element(x, x + n); }

float exp_and_sum(float* x, std::size_t n, float highest) {
  float total = 0.0f;
  for (std::size_t i = 0; i < n; ++i) total += x[i] = std::exp(x[i] - highest);
  return total;
}

void scale(float a, const float* x, float* y, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = a * x[i];
}

void add_scaled(float a, const float* x, float* y, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] += a * x[i];
}

void rms_norm(const float* x, const float* weight, float eps, float* out, std::size_t n) {
  double squares = 0.0;
  for (std::size_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * x[i];
  const auto mean = static_cast<float>(squares / static_cast<double>(n));
  const float factor = 1.0f / std::sqrt(mean + eps);
  for (std::size_t i = 0; i < n; ++i) out[i] = x[i] * factor * weight[i];
}

void rotate(float* x, const float* turns, std::size_t pairs) {
  for (std::size_t i = 0; i < 2 * pairs; i += 2) {
    const float a = x[i];
    const float b = x[i + 1];
    x[i] = a * turns[i] - b * turns[i + 1];
    x[i + 1] = b * turns[i] + a * turns[i + 1];
  }
}

void rotate_halves(float* x, const float* turns, std::size_t pairs) {
  for (std::size_t i = 0; i < pairs; ++i) {
    const float a = x[i];
    const float b = x[i + pairs];
    x[i] = a * turns[i] - b * turns[i + pairs];
    x[i + pairs] = b * turns[i] + a * turns[i + pairs];
  }
}

void silu_mul(const float* gate, const float* up, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) out[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
}

// (1 + tanh u) / 2 is 1 / (1 + e^-2u).
void gelu_mul(const float* gate, const float* up, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    const float g = gate[i];
    const float u = kGeluScale * (g + kGeluCubic * g * g * g);
    out[i] = g / (1.0f + std::exp(-2.0f * u)) * up[i];
  }
}

void soft_cap(float cap, float* x, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) x[i] = cap * std::tanh(x[i] / cap);
}

}  // namespace

void fill_scalar_decoder_steps(KernelTable& table) {
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

}  // namespace ggmlkit
