// The tokens of one sequence in one forward pass.
#pragma once

#include <cstddef>

namespace ggmlkit::engine {

struct Chunk {
  std::size_t sequence;
  std::size_t start;   // position of the first token
  std::size_t tokens;  // they follow each other
  std::size_t row;     // of the first token, among all tokens of the pass
};

}  // namespace ggmlkit::engine
