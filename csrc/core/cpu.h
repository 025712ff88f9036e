// Facts of the processor beyond its instruction sets.
#pragma once

#include <cstddef>

namespace ggmlkit {

// How many bytes ahead a single token's pass should prefetch the weights it streams.
std::size_t stream_prefetch_distance();

}  // namespace ggmlkit
