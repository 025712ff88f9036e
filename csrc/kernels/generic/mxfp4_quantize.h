// Float32 to mxfp4, as llama.cpp's reference quantizer defines it: the exponent of the largest
// magnitude less two, and the nearest value, the smaller midway.
#pragma once

#include <cmath>

#include "kernels/generic/block_rows.h"
#include "kernels/layouts/codebooks.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// By way of the logarithm in float32, which rounds up just below a power of two: in [64, 128) its
// neighbours are 2^-17 apart, so that at most 45 floats below the power do. Elsewhere the exponent
// of a normal float says the same without it. An exponent below zero wraps around, as the
// conversion to a byte does on x86; such blocks are of zeros, whatever their exponent. But not to
// the byte of all ones, which by the format's own definition is no number.
inline std::uint8_t mxfp4_exponent(float magnitude) {
  if (!(magnitude > 0.0f)) return 0;
  const std::uint32_t bits = float_bits(magnitude);
  const bool is_plain = bits >= 0x00800000u && (bits & 0x007fffffu) < 0x007ffe00u;
  const int logarithm = is_plain ? static_cast<int>(bits >> 23) - 127
                                 : static_cast<int>(std::floor(std::log2(magnitude)));
  const int exponent = logarithm - 2 + 127;
  return static_cast<std::uint8_t>(exponent == -1 ? 0 : exponent);
}

// Midways between kE2M1Values. Times a power of two they are exact, and so are the differences
// from both neighbours there that the reference compares: they are within a factor of two, but for
// zero's, where rounding keeps the order.
constexpr float kE2M1Midways[7] = {0.5f, 1.5f, 2.5f, 3.5f, 5.0f, 7.0f, 10.0f};

// Numbers of the nearest values: how many midways a magnitude is beyond. Bits are compared, which
// are ordered as magnitudes are, in a loop that compilers make vectors of.
inline void nearest_e2m1(const float* x, float unit, std::uint8_t* q) {
  std::int32_t midway[7];
  for (int k = 0; k < 7; ++k) {
    midway[k] = static_cast<std::int32_t>(float_bits(kE2M1Midways[k] * unit));
  }
  for (int j = 0; j < 32; ++j) {
    const std::uint32_t bits = float_bits(x[j]);
    const auto magnitude = static_cast<std::int32_t>(bits & 0x7fffffffu);
    std::int32_t found = 0;
    for (int k = 0; k < 7; ++k) found += magnitude > midway[k] ? 1 : 0;
    const auto sign = static_cast<std::int32_t>(bits >> 31 << 3);
    q[j] = static_cast<std::uint8_t>(found == 0 ? 0 : found + sign);
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
