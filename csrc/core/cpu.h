// Facts of the processor beyond its instruction sets.
#pragma once

#include <cstddef>

namespace ggmlkit {

// How many bytes ahead a pass should prefetch the weights it streams, of one token or of a few.
std::size_t stream_prefetch_distance(std::size_t tokens);

}  // namespace ggmlkit
