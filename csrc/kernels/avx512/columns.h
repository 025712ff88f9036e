// Rows of floats turned into columns.
#pragma once

#include <cstddef>

#include "kernels/simd.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// Four columns of sixteen rows, `step` floats apart. A vector takes those of the rows j, j + 4,
// j + 8 and j + 12: what is left is to turn 4 x 4 elements within their quarters.
inline void load_columns(const float* rows, std::size_t step, __m512 (&columns)[4]) {
  __m512 four[4];
  for (std::size_t j = 0; j < 4; ++j) {
    const auto two = [&](std::size_t row) {
      return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(rows + row * step)),
                                  _mm_loadu_ps(rows + (row + 4) * step), 1);
    };
    four[j] = _mm512_insertf32x8(_mm512_castps256_ps512(two(j)), two(j + 8), 1);
  }
  const __m512 ab_low = _mm512_unpacklo_ps(four[0], four[1]);
  const __m512 ab_high = _mm512_unpackhi_ps(four[0], four[1]);
  const __m512 cd_low = _mm512_unpacklo_ps(four[2], four[3]);
  const __m512 cd_high = _mm512_unpackhi_ps(four[2], four[3]);
  columns[0] = _mm512_shuffle_ps(ab_low, cd_low, 0x44);
  columns[1] = _mm512_shuffle_ps(ab_low, cd_low, 0xee);
  columns[2] = _mm512_shuffle_ps(ab_high, cd_high, 0x44);
  columns[3] = _mm512_shuffle_ps(ab_high, cd_high, 0xee);
}

}  // namespace
}  // namespace ggmlkit
