// What the quantizers that know each column's importance share: an element's error counts its
// column's importance times the root of its own square and what squares are on average.
#pragma once

#include "kernels/generic/block_rows.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// In order, as the reference adds.
inline float sum_of_squares(const float* x, std::size_t n) {
  float sum = 0.0f;
  for (std::size_t j = 0; j < n; ++j) sum += x[j] * x[j];
  return sum;
}

// For each of `groups` groups of `Group` elements, mean(sum) of the squares of its block.
template <int Block, int Group, class Mean>
void averages_of_groups(const float* x, int groups, Mean mean, float* averages) {
  for (int g = 0; g < groups; g += Block / Group, x += Block) {
    const float average = mean(sum_of_squares(x, Block));
    for (int k = 0; k < Block / Group; ++k) averages[g + k] = average;
  }
}

// Weights of groups in lanes, given their importances in `w`.
template <class F, int N>
void weigh(const F (&x)[N], F average, F (&w)[N]) {
  for (int i = 0; i < N; ++i) w[i] = w[i] * F::root(average + x[i] * x[i]);
}

// The importances of elements from `first` on, zeros beyond the end of the row.
template <std::size_t Batch>
const float* importances_from(const float* importance, std::size_t first, std::size_t n,
                              float (&room)[Batch]) {
  if (first + Batch <= n) return importance + first;
  for (std::size_t j = 0; j < Batch; ++j) room[j] = first + j < n ? importance[first + j] : 0.0f;
  return room;
}

}  // namespace
}  // namespace ggmlkit
