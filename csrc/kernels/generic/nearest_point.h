// The point near a place that fits some weighted floats best.
#pragma once

#include <cfloat>

#include "kernels/layouts/near_points.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// One point after another; sets with SIMD have searches of their own.
struct PlainSearch {
  // The word of the point whose elements, scale · values[level], have the least weighted squared
  // distance from x, the first of equals. `values` has eight, of which an element's bits choose.
  template <int Elements, int Bits>
  static int best(const NearPoints::List& list, const float (&values)[8], float scale,
                  const float* x, const float* w) {
    constexpr int count = 1 << Bits;
    float cost[Elements][count];
    for (int e = 0; e < Elements; ++e) {
      for (int l = 0; l < count; ++l) {
        const float difference = scale * values[l] - x[e];
        cost[e][l] = w[e] * difference * difference;
      }
    }
    float least = FLT_MAX;
    int found = list.words[0];
    for (std::size_t p = 0; p < list.count; ++p) {
      const int word = list.words[p];
      float sum = 0.0f;
      for (int e = 0; e < Elements; ++e) sum += cost[e][(word >> (Bits * e)) & (count - 1)];
      if (sum < least) {
        least = sum;
        found = word;
      }
    }
    return found;
  }
};

}  // namespace
}  // namespace ggmlkit
