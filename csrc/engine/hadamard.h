// The Walsh-Hadamard transform of a head's elements. It spreads one large element over many, so
// that what is rounded to few levels loses less. A product of two transformed heads is the heads'
// product, and a head that is transformed twice is itself, but for a factor of their length.
#pragma once

#include <cstddef>

namespace ggmlkit::engine {

// Over how many of a head's d elements each is spread: a power of two that divides d.
std::size_t hadamard_length(std::size_t d);

// Transforms `d` elements in place, and multiplies them by `scale`.
void hadamard(float* x, std::size_t d, float scale);

}  // namespace ggmlkit::engine
