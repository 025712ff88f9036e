// Checks that blocks hold the quantized numbers: a scale too large for its type becomes infinite.
#pragma once

#include <cstddef>

#include "core/types.h"

namespace ggmlkit {

// The index of the first element of the first block that does not hold its floats, or n. `blocks`
// are those that a kernel just made from n finite floats; for a float type, some can be infinite or
// NaN, which it holds. `weighted`: whether the kernel used the importance of columns.
std::size_t first_lost(Type type, const float* src, const std::byte* blocks, std::size_t n,
                       bool weighted);

// The index of the first of n float16 numbers that is not finite, or n.
std::size_t first_not_finite_half(const std::byte* halves, std::size_t n);

}  // namespace ggmlkit
