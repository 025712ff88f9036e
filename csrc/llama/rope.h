// Rotary position embedding of neighbouring pairs (2i, 2i + 1).
#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <vector>

#include "core/aligned.h"
#include "llama/config.h"

namespace ggmlkit::llama {

class Rope {
 public:
  // For the positions below `context`. Their cosines and sines are computed once, a block of
  // positions when the first of them comes: a short text should not wait for a long context.
  Rope(const RopeConfig& config, std::size_t context);

  // Rotates the first `dims` elements of one head in place. Threads may call at once.
  void rotate(float* head, std::size_t position);

 private:
  static constexpr std::size_t kBlock = 64;
  const float* turns_at(std::size_t position);
  void compute(std::size_t block);

  std::vector<double> frequencies_;  // [pairs]
  double magnitude_;
  std::size_t context_;
  AlignedArray<float> turns_;                // [context][pairs][cosine, sine]
  std::vector<std::atomic<bool>> computed_;  // [blocks]
  std::mutex computing_;
};

// Radians per position of each pair: double [dims / 2]; and what multiplies cosine and sine.
std::vector<double> rope_frequencies(const RopeConfig& config);
double rope_magnitude(const RopeConfig& config);

}  // namespace ggmlkit::llama
