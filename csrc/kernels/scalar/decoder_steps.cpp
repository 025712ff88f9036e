// Scalar attention and element-wise steps of the decoder.
#include <algorithm>
#include <cmath>

#include "kernels/generic/gelu.h"
#include "kernels/kernel_table.h"
#include "kernels/layouts/kv_group.h"

namespace ggmlkit {
namespace {

struct F16 {
  static constexpr KvType type = KvType::f16;

  static void store_key(const float* k, std::size_t d, std::size_t p, std::byte* group) {
    for (std::size_t j = 0; j < d; ++j) store_u16(group + 2 * key_at(p, j), float_to_half(k[j]));
  }
  static void store_value(const float* v, std::size_t d, std::size_t p, std::byte* group) {
    for (std::size_t j = 0; j < d; ++j) {
      store_u16(group + 2 * value_at(p, j, d), float_to_half(v[j]));
    }
  }
  static float load(const std::byte* group, std::size_t at, std::size_t, std::size_t, std::size_t) {
    return half_to_float(load_u16(group + 2 * at));
  }
};

struct Q8 {
  static constexpr KvType type = KvType::q8_0;

  // Levels are multiples of the scale as it is stored, in float16.
  template <class Place>
  static void store(const float* x, std::size_t d, std::size_t p, std::byte* group, Place place) {
    for (std::size_t b = 0; b < kv_blocks(d); ++b) {
      const std::size_t end = std::min(d, (b + 1) * kBlock);
      float magnitude = 0.0f;
      for (std::size_t j = b * kBlock; j < end; ++j) {
        magnitude = std::max(magnitude, std::fabs(x[j]));
      }
      const std::uint16_t half = float_to_half(magnitude / 127.0f);
      store_u16(group + kv_scale_at(p, b, d), half);
      const float scale = half_to_float(half);
      const float inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
      for (std::size_t j = b * kBlock; j < end; ++j) {
        const float level = std::nearbyint(x[j] * inverse);
        const float kept = level > -127.0f ? std::min(level, 127.0f) : -127.0f;  // NaN: -127
        group[place(j)] = static_cast<std::byte>(static_cast<std::int8_t>(kept));
      }
    }
  }
  static void store_key(const float* k, std::size_t d, std::size_t p, std::byte* group) {
    store(k, d, p, group, [p](std::size_t j) { return key_at(p, j); });
  }
  static void store_value(const float* v, std::size_t d, std::size_t p, std::byte* group) {
    store(v, d, p, group, [p, d](std::size_t j) { return value_at(p, j, d); });
  }
  static float load(const std::byte* group, std::size_t at, std::size_t p, std::size_t j,
                    std::size_t d) {
    const float scale = half_to_float(load_u16(group + kv_scale_at(p, j / kBlock, d)));
    return scale * static_cast<float>(static_cast<std::int8_t>(group[at]));
  }
};

template <class Kv>
void scores(const float* q, std::size_t rows, std::size_t d, const std::byte* keys,
            std::size_t groups, float* scores, std::size_t ld) {
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t p = 0; p < groups * kKvGroup; ++p) {
      const std::byte* group = keys + p / kKvGroup * kv_group_bytes(Kv::type, d);
      const std::size_t place = p % kKvGroup;
      float total = 0.0f;
      for (std::size_t j = 0; j < d; ++j) {
        total += q[i * d + j] * Kv::load(group, key_at(place, j), place, j, d);
      }
      scores[i * ld + p] = total;
    }
  }
}

template <class Kv>
void add_values(const float* weights, std::size_t ld, std::size_t rows, std::size_t d,
                const std::byte* values, std::size_t positions, float* out) {
  for (std::size_t p = 0; p < positions; ++p) {
    const std::byte* group = values + p / kKvGroup * kv_group_bytes(Kv::type, d);
    const std::size_t place = p % kKvGroup;
    for (std::size_t j = 0; j < d; ++j) {
      const float v = Kv::load(group, value_at(place, j, d), place, j, d);
      for (std::size_t i = 0; i < rows; ++i) out[i * d + j] += weights[i * ld + p] * v;
    }
  }
}

template <class Kv>
constexpr KvKernels kv_kernels() {
  return {Kv::store_key, Kv::store_value, scores<Kv>, add_values<Kv>};
}

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
  table.kv[static_cast<std::size_t>(KvType::f16)] = kv_kernels<F16>();
  table.kv[static_cast<std::size_t>(KvType::q8_0)] = kv_kernels<Q8>();
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
