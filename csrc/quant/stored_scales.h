// Whether blocks hold what was quantized: a scale beyond the type that stores it becomes infinite.
#pragma once

#include <cstddef>

#include "core/types.h"

namespace ggmlkit {

// n, or where the first block begins that does not hold its floats. `blocks` are what a kernel just
// made of n finite floats; of a float type, some may be infinite or NaN, which it holds. `weighted`
// says that the kernel took the importance of columns.
std::size_t first_lost(Type type, const float* src, const std::byte* blocks, std::size_t n,
                       bool weighted);

// n, or the index of the first of n float16 numbers that is not finite.
std::size_t first_not_finite_half(const std::byte* halves, std::size_t n);

}  // namespace ggmlkit
