// Eight blocks of a row as a file has them, on 256-bit vectors (kernels/generic/stored_product.h).
#pragma once

#include "kernels/avx2/columns.h"
#include "kernels/avx2/vector.h"

namespace ggmlkit {
namespace {

struct FileBlocks256 {
  using Int = __m256i;
  using Float = __m256;
  static constexpr std::size_t of_vector = 1;

  // The codes of block(0), in the order of its elements.
  template <class S, class Block>
  [[gnu::always_inline]] static Int codes(Block block) {
    return avx2::block_codes<S>(block(0));
  }

  // Of eight vectors, each a block's: the sum of the lanes of each.
  static Int block_sums(const Int (&v)[8]) {
    const auto pairs = [&](int i) { return _mm256_hadd_epi32(v[i], v[i + 1]); };
    const Int four = _mm256_hadd_epi32(pairs(0), pairs(2));
    const Int next = _mm256_hadd_epi32(pairs(4), pairs(6));
    return _mm256_add_epi32(_mm256_permute2x128_si256(four, next, 0x20),
                            _mm256_permute2x128_si256(four, next, 0x31));
  }

  // dots - raised · sums
  static Int without(Int dots, int raised, const std::int32_t* sums) {
    const Int a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums));
    return _mm256_sub_epi32(dots, _mm256_mullo_epi32(a, _mm256_set1_epi32(raised)));
  }

  // The columns of eight rows of eight, `step` floats apart.
  static void transpose(const float* rows, std::size_t step, Float (&columns)[8]) {
    load_columns(rows, step, columns);
  }
};

}  // namespace
}  // namespace ggmlkit
