// The specification in plain C++: what every other instruction set must equal.
#include <cmath>

#include "kernels/kernel_table.h"
#include "kernels/layouts/blocks.h"
#include "kernels/scalar/scalar.h"

namespace ggmlkit {
namespace {

bool finite(float x) { return (float_bits(x) & 0x7f800000u) != 0x7f800000u; }

template <class T>
T load(const std::byte* p, std::size_t i) {
  T value;
  std::memcpy(&value, p + i * sizeof(T), sizeof(T));
  return value;
}

template <class T>
void store(std::byte* p, std::size_t i, T value) {
  std::memcpy(p + i * sizeof(T), &value, sizeof(T));
}

float f32_value(const std::byte* p, std::size_t i) { return load<float>(p, i); }
float f16_value(const std::byte* p, std::size_t i) {
  return half_to_float(load<std::uint16_t>(p, i));
}
float bf16_value(const std::byte* p, std::size_t i) {
  return bf16_to_float(load<std::uint16_t>(p, i));
}

using Value = float (*)(const std::byte*, std::size_t);

template <Value value>
void dequantize_float(const std::byte* src, float* dst, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) dst[i] = value(src, i);
}

// Float types hold infinities and NaN as they are: nothing to refuse.
std::size_t quantize_f32(const float* src, std::byte* dst, std::size_t n) {
  if (n) std::memcpy(dst, src, n * sizeof(float));
  return n;
}
std::size_t quantize_f16(const float* src, std::byte* dst, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) store(dst, i, float_to_half(src[i]));
  return n;
}
std::size_t quantize_bf16(const float* src, std::byte* dst, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) store(dst, i, float_to_bf16(src[i]));
  return n;
}

template <class S>
void dequantize_blocks(const std::byte* src, float* dst, std::size_t n) {
  for (std::size_t i = 0; i < n; i += S::size, src += S::bytes) {
    int q[S::size];
    unpack_block<S>(src, q);
    const float d = S::load_scale(src);
    if constexpr (S::has_min) {
      const float m = S::load_scale(src + S::scale_bytes);
      for (int j = 0; j < S::size; ++j) dst[i + j] = d * static_cast<float>(q[j]) + m;
    } else {
      for (int j = 0; j < S::size; ++j) dst[i + j] = d * static_cast<float>(q[j] - S::offset);
    }
  }
}

// Truncates as x86 does, whose result the reference quantizer stores where 1/d overflows:
// what fits no int32 becomes its smallest value, whose low byte is 0.
int truncated_low_byte(float x) {
  if (!(x > -2147483648.0f && x < 2147483648.0f)) return 0;
  return static_cast<std::int8_t>(static_cast<std::int32_t>(x) & 0xff);
}

// Round to nearest from the block's element of largest magnitude (see GGML q4_0, q5_0).
template <class S>
void quantize_signed_block(const float* x, std::byte* dst) {
  float extreme = 0.0f;
  float magnitude = 0.0f;
  for (int j = 0; j < S::size; ++j) {
    if (std::fabs(x[j]) > magnitude) {
      magnitude = std::fabs(x[j]);
      extreme = x[j];
    }
  }
  const float d = extreme / -static_cast<float>(S::offset);
  const float inverse = d != 0.0f ? 1.0f / d : 0.0f;
  S::store_scale(dst, d);
  int q[S::size];
  for (int j = 0; j < S::size; ++j) {
    const float shifted = x[j] * inverse + (static_cast<float>(S::offset) + 0.5f);
    const int v = truncated_low_byte(shifted);
    q[j] = v < S::levels ? v : S::levels;
  }
  pack_block<S>(q, dst);
}

// Round to nearest between the block's extremes (q4_1, q5_1).
template <class S>
void quantize_ranged_block(const float* x, std::byte* dst) {
  float low = x[0];
  float high = x[0];
  for (int j = 1; j < S::size; ++j) {
    if (x[j] < low) low = x[j];
    if (x[j] > high) high = x[j];
  }
  const float d = (high - low) / static_cast<float>(S::levels);
  const float inverse = d != 0.0f ? 1.0f / d : 0.0f;
  S::store_scale(dst, d);
  S::store_scale(dst + S::scale_bytes, low);
  int q[S::size];
  for (int j = 0; j < S::size; ++j) {
    const int v = truncated_low_byte((x[j] - low) * inverse + 0.5f);
    q[j] = v < S::levels ? v : S::levels;
  }
  pack_block<S>(q, dst);
}

template <class S>
void quantize_byte_block(const float* x, std::byte* dst) {
  float magnitude = 0.0f;
  for (int j = 0; j < S::size; ++j) {
    magnitude = std::fabs(x[j]) > magnitude ? std::fabs(x[j]) : magnitude;
  }
  const float d = magnitude / 127.0f;
  const float inverse = d != 0.0f ? 1.0f / d : 0.0f;
  S::store_scale(dst, d);
  int q[S::size];
  for (int j = 0; j < S::size; ++j) q[j] = truncated_low_byte(std::round(x[j] * inverse));
  pack_block<S>(q, dst);
}

template <class S>
std::size_t quantize_blocks(const float* src, std::byte* dst, std::size_t n) {
  for (std::size_t i = 0; i < n; i += S::size, dst += S::bytes) {
    for (int j = 0; j < S::size; ++j) {
      if (!finite(src[i + j])) return i;
    }
    if constexpr (S::bits == 8) {
      quantize_byte_block<S>(src + i, dst);
    } else if constexpr (S::has_min) {
      quantize_ranged_block<S>(src + i, dst);
    } else {
      quantize_signed_block<S>(src + i, dst);
    }
  }
  return n;
}

// Nearest even: what the vector conversion does.
void quantize_activations(const float* x, std::size_t blocks, const ActivationSlot& out) {
  for (std::size_t b = 0; b < blocks; ++b, x += kBlock) {
    float magnitude = 0.0f;
    for (std::size_t j = 0; j < kBlock; ++j) {
      const float a = std::fabs(x[j]);
      magnitude = a > magnitude ? a : magnitude;
    }
    const float inverse = magnitude > 0.0f ? 127.0f / magnitude : 0.0f;
    out.scale[b * out.width] = magnitude / 127.0f;
    std::int32_t halves[2] = {};
    const auto start = [&halves] { return -8 * halves[1] * 65536 + (-8 * halves[0] & 0xffff); };
    for (std::size_t j = 0; j < kBlock; ++j) {
      if (j == kBlock / 2) out.first[b * out.width] = start();
      const float v = std::nearbyint(x[j] * inverse);
      // A subnormal magnitude makes the inverse overflow; such a block is zero for all purposes.
      const int i = v >= -127.0f && v <= 127.0f ? static_cast<int>(v) : 0;
      out.q[b * kBlock * out.width + j / 4 * quad_step(out.width) + j % 4] =
          static_cast<std::int8_t>(i);
      halves[j / 2 % 2] += i;
    }
    out.sum[b * out.width] = halves[0] + halves[1];
    out.start[b * out.width] = start();
  }
}

template <class S>
void set_blocks(KernelTable& table, Type type) {
  table.types[static_cast<std::size_t>(type)] = {dequantize_blocks<S>, quantize_blocks<S>, nullptr};
}

KernelTable make() {
  KernelTable t{};
  t.name = "scalar";
  const auto at = [&t](Type type) -> TypeKernels& {
    return t.types[static_cast<std::size_t>(type)];
  };
  at(Type::f32) = {dequantize_float<f32_value>, quantize_f32, nullptr};
  at(Type::f16) = {dequantize_float<f16_value>, quantize_f16, nullptr};
  at(Type::bf16) = {dequantize_float<bf16_value>, quantize_bf16, nullptr};
  set_blocks<Q4_0>(t, Type::q4_0);
  set_blocks<Q4_1>(t, Type::q4_1);
  set_blocks<Q5_0>(t, Type::q5_0);
  set_blocks<Q5_1>(t, Type::q5_1);
  set_blocks<Q8_0>(t, Type::q8_0);
  set_blocks<Q4_0V2>(t, Type::q4_0_v2);
  set_blocks<Q4_1V2>(t, Type::q4_1_v2);
  set_blocks<Q8_0V2>(t, Type::q8_0_v2);
  set_blocks<Q4_0V1>(t, Type::q4_0_v1);
  set_blocks<Q4_1V1>(t, Type::q4_1_v1);
  set_blocks<Q5_0V1>(t, Type::q5_0_v1);
  set_blocks<Q5_1V1>(t, Type::q5_1_v1);
  set_blocks<Q4_2>(t, Type::q4_2);
  set_blocks<Q4_3>(t, Type::q4_3);
  fill_scalar_k_quants(t);
  fill_scalar_codebooks(t);
  fill_scalar_i_quants(t);
  fill_scalar_lattice_quantizers(t);
  fill_scalar_ternary(t);
  fill_scalar_plain(t);
  fill_scalar_group_quantizers(t);
  fill_scalar_weighted_quantizers(t);
  fill_scalar_calibration(t);
  t.quantize_activations = quantize_activations;
  fill_scalar_products(t);
  fill_scalar_decoder_steps(t);
  fill_scalar_attention(t);
  return t;
}

}  // namespace

const KernelTable& scalar_table() {
  static const KernelTable table = make();
  return table;
}

}  // namespace ggmlkit
