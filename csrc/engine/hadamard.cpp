#include "engine/hadamard.h"

#include <algorithm>

namespace ggmlkit::engine {
namespace {

constexpr std::size_t kLongest = 64;

}  // namespace

std::size_t hadamard_length(std::size_t d) { return std::min(kLongest, d & (~d + 1)); }

// Elements that are spread over each other lie apart by the rest of d, so that most steps work on
// whole vectors.
void hadamard(float* x, std::size_t d, float scale) {
  const std::size_t apart = d / hadamard_length(d);
  for (std::size_t half = apart; half < d; half *= 2) {
    for (std::size_t begin = 0; begin < d; begin += 2 * half) {
      float* first = x + begin;
      float* second = first + half;
      for (std::size_t j = 0; j < half; ++j) {
        const float a = first[j];
        const float b = second[j];
        first[j] = a + b;
        second[j] = a - b;
      }
    }
  }
  for (std::size_t j = 0; j < d; ++j) x[j] *= scale;
}

}  // namespace ggmlkit::engine
