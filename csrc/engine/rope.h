// Rotary position embedding of pairs of elements: neighbours, or one of each half.
#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <vector>

#include "core/aligned.h"
#include "engine/config.h"

namespace ggmlkit::engine {

class Rope {
 public:
  // For the positions below `context`. Their cosines and sines are computed once, some
  // positions at a time when the first of them comes: a short text should not wait for a long
  // context.
  Rope(const RopeConfig& config, std::size_t context);

  // Rotates the first `dims` elements of `heads` heads in place, `head_dim` elements apart.
  // Threads may call at once.
  void rotate(float* x, std::size_t heads, std::size_t head_dim, std::size_t position) const;

 private:
  static constexpr std::size_t kPositions = 64;
  const float* turns_at(std::size_t position) const;
  void compute(std::size_t block) const;

  std::vector<double> frequencies_;  // [pairs]
  double magnitude_;
  std::size_t context_;
  RopePairs pairs_;
  mutable AlignedArray<float> turns_;  // [context][pairs][2] of neighbours, [context][2][pairs] of
                                       // halves: cosine and sine
  mutable std::vector<std::atomic<bool>> computed_;  // [blocks]
  mutable std::mutex computing_;
};

// Radians per position of each pair in sequences of at most `context` positions: double [dims / 2];
// and what multiplies cosine and sine.
std::vector<double> rope_frequencies(const RopeConfig& config, std::size_t context);
double rope_magnitude(const RopeConfig& config);

}  // namespace ggmlkit::engine
