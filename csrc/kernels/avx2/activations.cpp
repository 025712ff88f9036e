// Activations to int8, bit-identical to scalar.
#include <limits>

#include "kernels/avx2/avx2.h"
#include "kernels/avx2/vector.h"

namespace ggmlkit::avx2 {
namespace {

// One block's bytes into a panel: eight quads, so many bytes apart.
void store_quads(__m256i bytes, std::size_t step, std::int8_t* out) {
  if (step == 4) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), bytes);
    return;
  }
  std::int8_t quads[kBlock];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(quads), bytes);
  for (std::size_t k = 0; k < 8; ++k) std::memcpy(out + k * step, quads + 4 * k, 4);
}

void quantize_activations(const float* x, std::size_t blocks, const ActivationSlot& out) {
  const __m256i one8 = _mm256_set1_epi8(1);
  for (std::size_t b = 0; b < blocks; ++b) {
    const Floats v = load_block(x + b * kBlock);
    const float magnitude = horizontal_max(largest_magnitude(v));
    float inverse = magnitude > 0.0f ? 127.0f / magnitude : 0.0f;
    // A subnormal magnitude makes the inverse overflow; such a block is zero for all purposes.
    if (!(inverse <= std::numeric_limits<float>::max())) inverse = 0.0f;
    const __m256 s = _mm256_set1_ps(inverse);
    const auto level = [&](__m256 f) { return _mm256_cvtps_epi32(_mm256_mul_ps(f, s)); };
    const __m256i bytes = low_bytes(level(v.v[0]), level(v.v[1]), level(v.v[2]), level(v.v[3]));
    store_quads(bytes, quad_step(out.width), out.q + b * kBlock * out.width);
    const __m256i pairs = _mm256_maddubs_epi16(one8, bytes);
    const __m256i starts = _mm256_mullo_epi16(pairs, _mm256_set1_epi16(-8));
    const std::int32_t start = sum_of_int16_pairs(starts);
    const std::size_t at = b * out.width;
    out.scale[at] = magnitude / 127.0f;
    out.sum[at] = (static_cast<std::int16_t>(start & 0xffff) + (start >> 16)) / -8;
    out.start[at] = start;
    out.first[at] = sum_of_int16_pairs(_mm256_castsi256_si128(starts));
  }
}

}  // namespace

void fill_activations(KernelTable& table) { table.quantize_activations = quantize_activations; }

}  // namespace ggmlkit::avx2
