// Float32 to mxfp4, as llama.cpp's reference quantizer defines it: the exponent of the largest
// magnitude less two, and the nearest value, the smaller midway.
#pragma once

#include <cmath>

#include "kernels/batches.h"
#include "kernels/codebooks.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// By way of the logarithm in float32, which rounds up just below a power of two. An exponent below
// zero wraps around, as the conversion to a byte does on x86.
inline std::uint8_t mxfp4_exponent(float magnitude) {
  if (!(magnitude > 0.0f)) return 0;
  const float exponent = std::floor(std::log2(magnitude)) - 2.0f + 127.0f;
  return static_cast<std::uint8_t>(static_cast<std::int32_t>(exponent));
}

// Bits of |x|: ordered as magnitudes are, and compared without branches.
inline std::int32_t magnitude_bits(float x) {
  return static_cast<std::int32_t>(float_bits(x) & 0x7fffffffu);
}

// Numbers of the nearest values. Loops over the block that compilers make vectors of.
inline void nearest_e2m1(const float* x, float unit, std::uint8_t* q) {
  std::int32_t least[32];
  std::int32_t found[32] = {};
  for (int j = 0; j < 32; ++j) least[j] = magnitude_bits(x[j]);
  for (int k = 1; k < 8; ++k) {
    const float value = static_cast<float>(kE2M1Values[k]) * unit;
    for (int j = 0; j < 32; ++j) {
      const std::int32_t error = magnitude_bits(value - std::fabs(x[j]));
      found[j] = error < least[j] ? k : found[j];
      least[j] = error < least[j] ? error : least[j];
    }
  }
  for (int j = 0; j < 32; ++j) {
    const int sign = static_cast<int>(float_bits(x[j]) >> 31) << 3;
    q[j] = static_cast<std::uint8_t>(found[j] == 0 ? 0 : found[j] + sign);
  }
}

inline std::size_t quantize_mxfp4(const float* src, std::byte* dst, std::size_t n) {
  return in_batches<Mxfp4, 1>(src, dst, n, [](std::size_t, const float* x, Mxfp4* block) {
    std::uint8_t q[32];
    block->exponent = mxfp4_exponent(largest_magnitude(x, 32));
    nearest_e2m1(x, half_of_e8m0(block->exponent), q);
    pack_planes<4, 16, 32>(q, block->quants);
  });
}

}  // namespace
}  // namespace ggmlkit
