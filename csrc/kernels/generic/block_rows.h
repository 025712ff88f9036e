// Rows of blocks, as many at a time as fill the vectors.
#pragma once

#include "kernels/layouts/bytes.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

inline bool all_finite(const float* x, std::size_t n) {
  unsigned bad = 0;
  for (std::size_t j = 0; j < n; ++j) bad |= (float_bits(x[j]) & 0x7f800000u) == 0x7f800000u;
  return bad == 0;
}

// Magnitudes are ordered like their bits, as integers, which compilers make vectors of.
inline float largest_magnitude(const float* x, int n) {
  std::int32_t largest = 0;
  for (int j = 0; j < n; ++j) {
    const auto bits = static_cast<std::int32_t>(float_bits(x[j]) & 0x7fffffffu);
    largest = bits > largest ? bits : largest;
  }
  return bits_float(static_cast<std::uint32_t>(largest));
}

// Calls quantize(first element, its floats, its block) for `Together` blocks B of `size` elements
// each; the last ones may be of zeros, beyond the end. Returns what TypeKernels::quantize does.
template <class B, int Together, class Quantize>
std::size_t in_batches(const float* src, std::byte* dst, std::size_t n, Quantize quantize) {
  constexpr std::size_t batch = static_cast<std::size_t>(Together) * B::size;
  auto* block = reinterpret_cast<B*>(dst);
  std::size_t i = 0;
  for (; i + batch <= n; i += batch, block += Together) {
    if (!all_finite(src + i, batch)) return i;
    quantize(i, src + i, block);
  }
  if (i == n) return n;
  if (!all_finite(src + i, n - i)) return i;
  float padded[batch] = {};
  B rest[Together];
  std::memcpy(padded, src + i, (n - i) * sizeof(float));
  quantize(i, padded, rest);
  std::memcpy(block, rest, (n - i) / B::size * sizeof(B));
  return n;
}

}  // namespace
}  // namespace ggmlkit
