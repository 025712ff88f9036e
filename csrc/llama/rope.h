// Rotary position embedding of neighbouring pairs (2i, 2i + 1).
#pragma once

#include <cstddef>
#include <vector>

#include "llama/config.h"

namespace ggmlkit::llama {

class Rope {
 public:
  // Cosines and sines of every position below `context`, computed once.
  Rope(const RopeConfig& config, std::size_t context);

  // Rotates the first `dims` elements of `heads` heads in place, `head_dim` elements apart.
  void rotate(float* x, std::size_t heads, std::size_t head_dim, std::size_t position) const;

 private:
  std::size_t pairs_;
  std::vector<float> turns_;  // [context][pairs][cosine, sine]
};

// Radians per position of each pair: double [dims / 2]; and what multiplies cosine and sine.
std::vector<double> rope_frequencies(const RopeConfig& config);
double rope_magnitude(const RopeConfig& config);

}  // namespace ggmlkit::llama
