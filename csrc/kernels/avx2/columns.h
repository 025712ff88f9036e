// Rows of floats turned into columns.
#pragma once

#include <cstddef>

#include "kernels/simd.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// Eight columns of eight rows, `step` floats apart.
inline void load_columns(const float* rows, std::size_t step, __m256 (&columns)[8]) {
  __m256 quads[8];  // of both halves, columns k and k + 4 of four rows
  for (std::size_t half = 0; half < 8; half += 4) {
    __m256 row[4];
    for (std::size_t r = 0; r < 4; ++r) row[r] = _mm256_loadu_ps(rows + (half + r) * step);
    const __m256 ab_low = _mm256_unpacklo_ps(row[0], row[1]);
    const __m256 ab_high = _mm256_unpackhi_ps(row[0], row[1]);
    const __m256 cd_low = _mm256_unpacklo_ps(row[2], row[3]);
    const __m256 cd_high = _mm256_unpackhi_ps(row[2], row[3]);
    quads[half] = _mm256_shuffle_ps(ab_low, cd_low, 0x44);
    quads[half + 1] = _mm256_shuffle_ps(ab_low, cd_low, 0xee);
    quads[half + 2] = _mm256_shuffle_ps(ab_high, cd_high, 0x44);
    quads[half + 3] = _mm256_shuffle_ps(ab_high, cd_high, 0xee);
  }
  for (int k = 0; k < 4; ++k) {
    columns[k] = _mm256_permute2f128_ps(quads[k], quads[k + 4], 0x20);
    columns[k + 4] = _mm256_permute2f128_ps(quads[k], quads[k + 4], 0x31);
  }
}

}  // namespace
}  // namespace ggmlkit
