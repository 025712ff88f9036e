// Float32 to blocks, bit-identical to scalar.
#include <cmath>
#include <limits>

#include "kernels/neon/neon.h"
#include "kernels/neon/vector.h"

namespace ggmlkit::neon {
namespace {

std::size_t quantize_f16(const float* src, std::byte* dst, std::size_t n) {
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const float16x4_t low = vcvt_f16_f32(vld1q_f32(src + i));
    const float16x8_t h = vcvt_high_f16_f32(low, vld1q_f32(src + i + 4));
    store16(dst + 2 * i, vreinterpretq_u8_f16(h));
  }
  for (; i < n; ++i) {
    const std::uint16_t h = float_to_half(src[i]);
    std::memcpy(dst + 2 * i, &h, 2);
  }
  return n;
}

void store_half(std::byte* p, float value) {
  const std::uint16_t h = vget_lane_u16(vreinterpret_u16_f16(vcvt_f16_f32(vdupq_n_f32(value))), 0);
  std::memcpy(p, &h, 2);
}

// Bit 4 of 32 bytes as an integer: each byte's bit moves to its place among eight, and three
// pairwise sums bring the eights together.
std::uint32_t fifth_bits(uint8x16x2_t q) {
  const int8x16_t place =
      vcombine_s8(vcreate_s8(0x0706050403020100u), vcreate_s8(0x0706050403020100u));
  const uint8x16_t low = vshlq_u8(vshrq_n_u8(q.val[0], 4), place);
  const uint8x16_t high = vshlq_u8(vshrq_n_u8(q.val[1], 4), place);
  uint8x16_t sum = vpaddq_u8(low, high);
  sum = vpaddq_u8(sum, sum);
  sum = vpaddq_u8(sum, sum);
  return vgetq_lane_u32(vreinterpretq_u32_u8(sum), 0);
}

template <class S>
void store_quants(int8x16x2_t signed_q, std::byte* dst) {
  const uint8x16x2_t q = {
      {vreinterpretq_u8_s8(signed_q.val[0]), vreinterpretq_u8_s8(signed_q.val[1])}};
  if constexpr (S::bits == 8) {
    store16(dst + S::quants_at, q.val[0]);
    store16(dst + S::quants_at + 16, q.val[1]);
  } else {
    if constexpr (S::bits == 5) {
      const std::uint32_t fifth = fifth_bits(q);
      std::memcpy(dst + S::high_at, &fifth, 4);
    }
    // The low nibble of the second half goes above that of the first.
    const uint8x16_t low = vandq_u8(q.val[0], vdupq_n_u8(15));
    store16(dst + S::quants_at, vsliq_n_u8(low, q.val[1], 4));
  }
}

// The reference divides where d is subnormal too, and where 1/d overflows stores 0 for every
// element: infinities and NaN are no int32.
float inverse_of(float d) { return d != 0.0f ? 1.0f / d : 0.0f; }
bool overflowed(float inverse) { return std::fabs(inverse) > std::numeric_limits<float>::max(); }

// trunc(x · inverse + shift), at most `levels`. Multiply and add stay apart: the reference rounds
// between them.
template <int levels>
int8x16x2_t rounded_levels(const Floats& x, float inverse, float shift) {
  const float32x4_t add = vdupq_n_f32(shift);
  const auto level = [&](float32x4_t v) {
    return vcvtq_s32_f32(vaddq_f32(vmulq_n_f32(v, inverse), add));
  };
  const int8x16x2_t q = bytes_of(x, level);
  const int8x16_t most = vdupq_n_s8(levels);
  return {{vminq_s8(q.val[0], most), vminq_s8(q.val[1], most)}};
}

template <class S>
void store_levels(const Floats& x, float inverse, float shift, std::byte* dst) {
  if (overflowed(inverse)) {
    store_quants<S>({{vdupq_n_s8(0), vdupq_n_s8(0)}}, dst);
  } else {
    store_quants<S>(rounded_levels<S::levels>(x, inverse, shift), dst);
  }
}

float largest(const Floats& x) {
  return vmaxvq_f32(reduced(x, [](float32x4_t a, float32x4_t b) { return vmaxq_f32(a, b); }));
}

float smallest(const Floats& x) {
  return vminvq_f32(reduced(x, [](float32x4_t a, float32x4_t b) { return vminq_f32(a, b); }));
}

// The element of largest magnitude; the reference takes the first of equals, whose sign may differ.
float extreme_of(const Floats& x, const float* src) {
  const float high = largest(x);
  const float low = smallest(x);
  if (high > -low) return high;
  if (high < -low) return low;
  if (high == 0.0f) return 0.0f;  // +0 in the reference, whatever the zeros' signs
  while (std::fabs(*src) != high) ++src;
  return *src;
}

template <class S>
void quantize_signed_block(const Floats& x, const float* src, std::byte* dst) {
  const float d = extreme_of(x, src) / -static_cast<float>(S::offset);
  store_half(dst, d);
  store_levels<S>(x, inverse_of(d), static_cast<float>(S::offset) + 0.5f, dst);
}

// The smallest element; of zeros, the reference takes the first, whose sign may differ.
float first_smallest(const Floats& x, const float* src) {
  const float low = smallest(x);
  if (low != 0.0f) return low;
  while (*src != 0.0f) ++src;
  return *src;
}

template <class S>
void quantize_ranged_block(const Floats& x, const float* src, std::byte* dst) {
  const float low = first_smallest(x, src);
  const float d = (largest(x) - low) / static_cast<float>(S::levels);
  store_half(dst, d);
  store_half(dst + S::scale_bytes, low);
  Floats from_low;
  for (int i = 0; i < 8; ++i) from_low.v[i] = vsubq_f32(x.v[i], vdupq_n_f32(low));
  store_levels<S>(from_low, inverse_of(d), 0.5f, dst);
}

template <class S>
void quantize_byte_block(const Floats& x, float magnitude, std::byte* dst) {
  const float d = magnitude / 127.0f;
  store_half(dst, d);
  const float inverse = inverse_of(d);
  if (overflowed(inverse)) return store_quants<S>({{vdupq_n_s8(0), vdupq_n_s8(0)}}, dst);
  // Halves away from zero, as C's round().
  const auto level = [&](float32x4_t v) { return vcvtaq_s32_f32(vmulq_n_f32(v, inverse)); };
  store_quants<S>(bytes_of(x, level), dst);
}

// Of bits without their sign, the order is that of magnitudes, and what is not finite comes last.
std::uint32_t largest_magnitude_bits(const Floats& x) {
  uint32x4_t most = vdupq_n_u32(0);
  for (const float32x4_t v : x.v) most = vmaxq_u32(most, vreinterpretq_u32_f32(vabsq_f32(v)));
  return vmaxvq_u32(most);
}

template <class S>
std::size_t quantize_blocks(const float* src, std::byte* dst, std::size_t n) {
  static_assert(S::size == 32);
  for (std::size_t i = 0; i < n; i += S::size, dst += S::bytes) {
    const Floats x = load_block(src + i);
    const std::uint32_t magnitude = largest_magnitude_bits(x);
    if (magnitude >= 0x7f800000u) return i;
    if constexpr (S::bits == 8) {
      quantize_byte_block<S>(x, bits_float(magnitude), dst);
    } else if constexpr (S::has_min) {
      quantize_ranged_block<S>(x, src + i, dst);
    } else {
      quantize_signed_block<S>(x, src + i, dst);
    }
  }
  return n;
}

template <class S>
void set(KernelTable& table, Type type) {
  table.types[static_cast<std::size_t>(type)].quantize = quantize_blocks<S>;
}

}  // namespace

void fill_quantize(KernelTable& table) {
  table.types[static_cast<std::size_t>(Type::f16)].quantize = quantize_f16;
  set<Q4_0>(table, Type::q4_0);
  set<Q4_1>(table, Type::q4_1);
  set<Q5_0>(table, Type::q5_0);
  set<Q5_1>(table, Type::q5_1);
  set<Q8_0>(table, Type::q8_0);
}

}  // namespace ggmlkit::neon
