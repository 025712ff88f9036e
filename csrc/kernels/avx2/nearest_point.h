// Eight points at a time: see kernels/generic/nearest_point.h.
#pragma once

#include <cfloat>
#include <utility>

#include "kernels/generic/each.h"
#include "kernels/layouts/near_points.h"
#include "kernels/simd.h"

namespace ggmlkit::avx2 {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// Entries of `table` that the lowest bits of each lane choose: two bits of four entries that are
// there twice, or three of eight.
template <int Bits>
__m256 chosen(__m256 table, __m256i lanes) {
  if constexpr (Bits == 2) return _mm256_permutevar_ps(table, lanes);
  return _mm256_permutevar8x32_ps(table, lanes);
}

struct EightPoints {
  template <int Elements, int Bits>
  static int best(const NearPoints::List& list, const float (&values)[8], float scale,
                  const float* x, const float* w) {
    __m256 cost[Elements];
    const __m256 scaled = _mm256_mul_ps(_mm256_set1_ps(scale), _mm256_loadu_ps(values));
    each<Elements>([&](auto e) {
      const __m256 difference = _mm256_sub_ps(scaled, _mm256_broadcast_ss(x + e));
      cost[e] = _mm256_mul_ps(_mm256_mul_ps(_mm256_broadcast_ss(w + e), difference), difference);
    });
    __m256 least = _mm256_set1_ps(FLT_MAX);
    __m256i found = _mm256_setzero_si256();  // where the lane's best point is
    for (std::size_t p = 0; p < list.count; p += 8) {
      const __m256i words =
          _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(list.words + p)));
      __m256 sum = chosen<Bits>(cost[0], words);
      each<Elements - 1>([&](auto i) {
        constexpr int e = i + 1;
        sum = _mm256_add_ps(sum, chosen<Bits>(cost[e], _mm256_srli_epi32(words, Bits * e)));
      });
      const __m256 is_less = _mm256_cmp_ps(sum, least, _CMP_LT_OQ);
      least = _mm256_blendv_ps(least, sum, is_less);
      found = _mm256_blendv_epi8(found, _mm256_set1_epi32(static_cast<int>(p)),
                                 _mm256_castps_si256(is_less));
    }
    return list.words[first_of_least(least, found)];
  }

 private:
  // The first place among those of the lanes with the least sum.
  static int first_of_least(__m256 sums, __m256i places) {
    const __m256 pairs = _mm256_min_ps(sums, _mm256_permute2f128_ps(sums, sums, 1));
    const __m256 quads = _mm256_min_ps(pairs, _mm256_permute_ps(pairs, 0x4e));
    const __m256 least = _mm256_min_ps(quads, _mm256_permute_ps(quads, 0xb1));
    auto equal = static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(sums, least, _CMP_EQ_OQ)));
    alignas(32) int at[8];
    _mm256_store_si256(reinterpret_cast<__m256i*>(at), places);
    int first = at[__builtin_ctz(equal)] + __builtin_ctz(equal);
    while ((equal &= equal - 1) != 0) {
      const int other = at[__builtin_ctz(equal)] + __builtin_ctz(equal);
      first = other < first ? other : first;
    }
    return first;
  }
};

}  // namespace
}  // namespace ggmlkit::avx2
