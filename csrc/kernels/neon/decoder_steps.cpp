// Element-wise steps of the decoder.
#include "kernels/neon/neon.h"
#include "kernels/neon/vector.h"

namespace ggmlkit::neon {
namespace {

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

float32x4_t silu_mul4(float32x4_t gate, float32x4_t up) {
  const float32x4_t e = exponential(vnegq_f32(gate));
  return vmulq_f32(vdivq_f32(gate, vaddq_f32(vdupq_n_f32(1.0f), e)), up);
}

void silu_mul(const float* gate, const float* up, float* out, std::size_t n) {
  std::size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    vst1q_f32(out + i, silu_mul4(vld1q_f32(gate + i), vld1q_f32(up + i)));
  }
  if (i < n) {
    float lanes[2][4] = {};
    std::memcpy(lanes[0], gate + i, (n - i) * sizeof(float));
    std::memcpy(lanes[1], up + i, (n - i) * sizeof(float));
    vst1q_f32(lanes[0], silu_mul4(vld1q_f32(lanes[0]), vld1q_f32(lanes[1])));
    std::memcpy(out + i, lanes[0], (n - i) * sizeof(float));
  }
}

}  // namespace

void fill_decoder_steps(KernelTable& table) { table.silu_mul = silu_mul; }

}  // namespace ggmlkit::neon
