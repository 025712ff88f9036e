// Small vector helpers of the NEON files. Everything is local to the file that includes it: see
// core/convert.h.
#pragma once

#include <arm_neon.h>

#include "kernels/generic/each.h"
#include "kernels/layouts/blocks.h"

namespace ggmlkit::neon {
namespace {

inline uint8x16_t load16(const std::byte* p) {
  return vld1q_u8(reinterpret_cast<const std::uint8_t*>(p));
}

inline void store16(std::byte* p, uint8x16_t v) { vst1q_u8(reinterpret_cast<std::uint8_t*>(p), v); }

// Eight halves of any alignment, still as bits.
inline uint16x8_t load_bits8(const std::byte* p) { return vreinterpretq_u16_u8(load16(p)); }

// Eight floats: four and four.
inline float32x4x2_t load_half8(const std::byte* p) {
  const float16x8_t h = vreinterpretq_f16_u16(load_bits8(p));
  return {{vcvt_f32_f16(vget_low_f16(h)), vcvt_high_f32_f16(h)}};
}

inline float32x4x2_t load_bf16x8(const std::byte* p) {
  const uint16x8_t h = load_bits8(p);
  return {{vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(h), 16)),
           vreinterpretq_f32_u32(vshll_high_n_u16(h, 16))}};
}

inline float32x4x2_t load_float8(const std::byte* p) {
  return {{vreinterpretq_f32_u8(load16(p)), vreinterpretq_f32_u8(load16(p + 16))}};
}

// 32 floats of a block in eight registers.
struct Floats {
  float32x4_t v[8];
};

inline Floats load_block(const float* x) {
  Floats block;
  for (int i = 0; i < 8; ++i) block.v[i] = vld1q_f32(x + 4 * i);
  return block;
}

// All eight registers into one, by a function of two.
template <class Function>
inline float32x4_t reduced(const Floats& x, Function f) {
  const auto four = [&](int i) { return f(f(x.v[i], x.v[i + 1]), f(x.v[i + 2], x.v[i + 3])); };
  return f(four(0), four(4));
}

// Four registers of int32 within int8's range to 16 bytes, in order.
inline int8x16_t narrow(int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d) {
  const int16x8_t ab = vmovn_high_s32(vmovn_s32(a), b);
  const int16x8_t cd = vmovn_high_s32(vmovn_s32(c), d);
  return vmovn_high_s16(vmovn_s16(ab), cd);
}

// level(v) of all 32 floats, as bytes in order.
template <class Level>
inline int8x16x2_t bytes_of(const Floats& x, Level level) {
  return {{narrow(level(x.v[0]), level(x.v[1]), level(x.v[2]), level(x.v[3])),
           narrow(level(x.v[4]), level(x.v[5]), level(x.v[6]), level(x.v[7]))}};
}

}  // namespace
}  // namespace ggmlkit::neon
