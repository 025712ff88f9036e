// Eight blocks of a row as a file has them, on 256-bit vectors (kernels/stored_product.h).
#pragma once

#include "kernels/avx2/columns.h"
#include "kernels/avx2/lanes.h"
#include "kernels/pack_rows.h"

namespace ggmlkit {
namespace {

struct FileBlocks256 {
  using Int = __m256i;
  using Float = __m256;
  static constexpr std::size_t of_vector = 1;

  // The codes of block(0), in the order of its elements.
  template <class S, class Block>
  [[gnu::always_inline]] static Int codes(Block block) {
    const std::byte* quants = block(0) + S::quants_at;
    if constexpr (S::bits == 8) {
      return Lanes256::load(quants);
    } else {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(quants));
      const Int upper_last =
          _mm256_srlv_epi64(_mm256_broadcastsi128_si256(bytes), _mm256_setr_epi64x(0, 0, 4, 4));
      const Int low = _mm256_and_si256(upper_last, _mm256_set1_epi8(15));
      if constexpr (S::bits == 4) return low;
      return _mm256_or_si256(low, sixteen_where(load_at<std::uint32_t>(block(0) + S::high_at)));
    }
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

 private:
  // 16 in the bytes whose bit is set.
  static Int sixteen_where(std::uint32_t bits) {
    const Int byte_of_each = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,  //
                                              2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const Int spread = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(bits)), byte_of_each);
    const Int own = _mm256_set1_epi64x(static_cast<std::int64_t>(0x8040201008040201u));
    const Int is_set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, own), own);
    return _mm256_and_si256(is_set, _mm256_set1_epi8(16));
  }
};

}  // namespace
}  // namespace ggmlkit
