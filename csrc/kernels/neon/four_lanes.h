// Four floats, a group in each lane: see one_lane.h, which says what every function does.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

namespace ggmlkit::neon {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

struct FourLanes {
  static constexpr int count = 4;
  using Part = FourLanes;
  struct Mask {
    uint32x4_t m;
  };

  float32x4_t v;

  static FourLanes all(float x) { return {vdupq_n_f32(x)}; }
  static FourLanes load(const float* p) { return {vld1q_f32(p)}; }
  void store(float* p) const { vst1q_f32(p, v); }
  void store_bytes(std::uint8_t* p) const {
    const uint16x4_t words = vmovn_u32(vcvtq_u32_f32(v));
    const uint8x8_t bytes = vmovn_u16(vcombine_u16(words, words));
    const std::uint32_t four = vget_lane_u32(vreinterpret_u32_u8(bytes), 0);
    std::memcpy(p, &four, 4);
  }
  template <int N>
  static void load_groups(const float* x, FourLanes* out) {
    static_assert(N % 4 == 0);
    for (int i = 0; i < N; i += 4) {
      const float32x4x2_t ab = vtrnq_f32(vld1q_f32(x + i), vld1q_f32(x + N + i));
      const float32x4x2_t cd = vtrnq_f32(vld1q_f32(x + 2 * N + i), vld1q_f32(x + 3 * N + i));
      for (int k = 0; k < 2; ++k) {
        out[i + k] = {vcombine_f32(vget_low_f32(ab.val[k]), vget_low_f32(cd.val[k]))};
        out[i + k + 2] = {vcombine_f32(vget_high_f32(ab.val[k]), vget_high_f32(cd.val[k]))};
      }
    }
  }

  friend FourLanes operator+(FourLanes a, FourLanes b) { return {vaddq_f32(a.v, b.v)}; }
  friend FourLanes operator-(FourLanes a, FourLanes b) { return {vsubq_f32(a.v, b.v)}; }
  friend FourLanes operator*(FourLanes a, FourLanes b) { return {vmulq_f32(a.v, b.v)}; }
  friend FourLanes operator/(FourLanes a, FourLanes b) { return {vdivq_f32(a.v, b.v)}; }
  friend FourLanes operator-(FourLanes a) { return {vnegq_f32(a.v)}; }
  friend Mask operator<(FourLanes a, FourLanes b) { return {vcltq_f32(a.v, b.v)}; }
  friend Mask operator>(FourLanes a, FourLanes b) { return {vcgtq_f32(a.v, b.v)}; }
  friend Mask operator!=(FourLanes a, FourLanes b) { return {vmvnq_u32(vceqq_f32(a.v, b.v))}; }
  static Mask both(Mask a, Mask b) { return {vandq_u32(a.m, b.m)}; }
  static bool any(Mask m) { return vmaxvq_u32(m.m) != 0; }
  static FourLanes select(Mask m, FourLanes yes, FourLanes no) {
    return {vbslq_f32(m.m, yes.v, no.v)};
  }
  static FourLanes absolute(FourLanes a) { return {vabsq_f32(a.v)}; }
  static FourLanes root(FourLanes a) { return {vsqrtq_f32(a.v)}; }
  static FourLanes nearest(FourLanes a, int low, int high) {
    constexpr int zero = 0x400000;
    const float32x4_t magic = vdupq_n_f32(12582912.0f);
    const int32x4_t sum = vreinterpretq_s32_f32(vaddq_f32(a.v, magic));
    const int32x4_t bits = vandq_s32(sum, vdupq_n_s32(0x7fffff));
    const int32x4_t least = vmaxq_s32(bits, vdupq_n_s32(zero + low));
    const int32x4_t most = vminq_s32(least, vdupq_n_s32(zero + high));
    return {vcvtq_f32_s32(vsubq_s32(most, vdupq_n_s32(zero)))};
  }
};

}  // namespace
}  // namespace ggmlkit::neon
