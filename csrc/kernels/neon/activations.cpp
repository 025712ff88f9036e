// Activations to int8, bit-identical to scalar.
#include <limits>

#include "kernels/neon/neon.h"
#include "kernels/neon/vector.h"

namespace ggmlkit::neon {
namespace {

// The maximum of numbers passes NaN by, as scalar's comparisons do.
float largest_magnitude(const Floats& x) {
  Floats magnitudes;
  for (int i = 0; i < 8; ++i) magnitudes.v[i] = vabsq_f32(x.v[i]);
  return vmaxnmvq_f32(
      reduced(magnitudes, [](float32x4_t a, float32x4_t b) { return vmaxnmq_f32(a, b); }));
}

// A subnormal magnitude makes the inverse overflow; such a block is zero for all purposes.
float inverse_of(float magnitude) {
  const float inverse = magnitude > 0.0f ? 127.0f / magnitude : 0.0f;
  return inverse <= std::numeric_limits<float>::max() ? inverse : 0.0f;
}

// Sums of elements 4k and 4k + 1 and of 4k + 2 and 4k + 3, from those of each pair.
int16x4_t half_sums_of(int16x8_t pairs) {
  const int16x4_t sums = vadd_s16(vget_low_s16(pairs), vget_high_s16(pairs));
  return vadd_s16(sums, vext_s16(sums, sums, 2));
}

std::int32_t start_of(int16x4_t half_sums) {
  return vget_lane_s32(vreinterpret_s32_s16(vmul_n_s16(half_sums, -8)), 0);
}

// One block's bytes into a panel: eight quads, so many bytes apart.
void store_quads(int8x16x2_t bytes, std::size_t step, std::int8_t* out) {
  std::int8_t quads[kBlock];
  vst1q_s8(quads, bytes.val[0]);
  vst1q_s8(quads + 16, bytes.val[1]);
  for (std::size_t k = 0; k < 8; ++k) std::memcpy(out + k * step, quads + 4 * k, 4);
}

void quantize_activations(const float* x, std::size_t blocks, const ActivationSlot& out) {
  for (std::size_t b = 0; b < blocks; ++b) {
    const Floats v = load_block(x + b * kBlock);
    const float magnitude = largest_magnitude(v);
    const float inverse = inverse_of(magnitude);
    const int8x16x2_t bytes =
        bytes_of(v, [&](float32x4_t f) { return vcvtnq_s32_f32(vmulq_n_f32(f, inverse)); });
    store_quads(bytes, quad_step(out.width), out.q + b * kBlock * out.width);
    const int16x8_t first = vpaddlq_s8(bytes.val[0]);
    const int16x4_t halves = half_sums_of(vaddq_s16(first, vpaddlq_s8(bytes.val[1])));
    const std::size_t at = b * out.width;
    out.scale[at] = magnitude / 127.0f;
    out.sum[at] = vget_lane_s16(halves, 0) + vget_lane_s16(halves, 1);
    out.start[at] = start_of(halves);
    out.first[at] = start_of(half_sums_of(first));
  }
}

}  // namespace

void fill_activations(KernelTable& table) { table.quantize_activations = quantize_activations; }

}  // namespace ggmlkit::neon
