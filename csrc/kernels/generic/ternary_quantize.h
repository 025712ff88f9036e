// Float32 to tq1_0, tq2_0 and q2_0: the largest magnitude, and which of its third each element is
// nearest.
#pragma once

#include "kernels/generic/block_rows.h"
#include "kernels/layouts/ternary_blocks.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

template <class B>
std::size_t quantize_ternary(const float* src, std::byte* dst, std::size_t n) {
  return in_batches<B, 1>(src, dst, n, [](std::size_t, const float* x, B* block) {
    const float d = largest_magnitude(x, B::size);
    // A d so small that its inverse is infinite is stored as zero. The reference then makes the
    // same number of every element: which, each type says.
    const float inverse = d > 0.0f ? 1.0f / d : 0.0f;
    const bool is_tiny = inverse > 3.4028235e38f;
    const float scale = is_tiny ? 0.0f : inverse;
    std::uint8_t q[B::size];
    for (int j = 0; j < B::size; ++j) {
      const float v = x[j] * scale;  // halves are rounded away from zero
      q[j] = static_cast<std::uint8_t>(1 + (v >= 0.5f) - (v <= -0.5f));
    }
    if (is_tiny) std::memset(q, B::of_tiny, sizeof q);
    block->pack(q);
    store_half(block->d, d);
  });
}

}  // namespace
}  // namespace ggmlkit
