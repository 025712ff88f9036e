// Attention over cached positions on vectors of four floats.
#include "kernels/generic/attention.h"

#include "kernels/neon/neon.h"
#include "kernels/neon/vector.h"

namespace ggmlkit::neon {
namespace {

struct Four {
  using Float = float32x4_t;
  static constexpr int lanes = 4;
  static constexpr int rows = 4;
  static constexpr int sums = 16;  // of 32 registers; enough to hide a multiply-add's latency

  static Float broadcast(float x) { return vdupq_n_f32(x); }
  static Float load(const float* p) { return vld1q_f32(p); }
  static void store(float* p, Float v) { vst1q_f32(p, v); }
  static Float multiply(Float a, Float b) { return vmulq_f32(a, b); }
  static Float multiply_add(Float a, Float b, Float c) { return vfmaq_f32(c, a, b); }
  static Float halves(const std::byte* p) {
    const auto* four = reinterpret_cast<const std::uint8_t*>(p);
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(four)));
  }
  static Float bytes(const std::byte* p) { return floats(load_four(p)); }
  template <int upper>
  static Float nibbles(const std::byte* p) {
    const int8x8_t four = load_four(p);
    return floats(vshr_n_s8(upper ? four : vshl_n_s8(four, 4), 4));
  }

 private:
  static int8x8_t load_four(const std::byte* p) {
    std::int32_t four;
    std::memcpy(&four, p, 4);
    return vreinterpret_s8_s32(vdup_n_s32(four));
  }
  static Float floats(int8x8_t four) {
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(four))));
  }
};

}  // namespace

void fill_attention(KernelTable& table) { ggmlkit::fill_attention<Four>(table); }

}  // namespace ggmlkit::neon
