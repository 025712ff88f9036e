// Sixteen blocks of a row as a file has them, on 512-bit vectors
// (kernels/generic/stored_product.h).
#pragma once

#include "kernels/avx512/columns.h"
#include "kernels/avx512/lanes.h"
#include "kernels/generic/pack_rows.h"

namespace ggmlkit {
namespace {

struct FileBlocks512 {
  using Int = __m512i;
  using Float = __m512;
  static constexpr std::size_t of_vector = 2;

  // The codes of block(0) and block(1), in the order of their elements.
  template <class S, class Block>
  [[gnu::always_inline]] static Int codes(Block block) {
    const std::byte* quants = block(0) + S::quants_at;
    const std::byte* next = block(1) + S::quants_at;
    if constexpr (S::bits == 8) {
      const auto bytes = [](const std::byte* p) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
      };
      return _mm512_inserti64x4(_mm512_castsi256_si512(bytes(quants)), bytes(next), 1);
    } else {
      const auto bytes = [](const std::byte* p) {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
      };
      const Int both =
          _mm512_mask_broadcast_i32x4(_mm512_broadcast_i32x4(bytes(quants)), 0xff00, bytes(next));
      const Int upper_last = _mm512_srlv_epi64(both, _mm512_set_epi64(4, 4, 0, 0, 4, 4, 0, 0));
      const Int low = _mm512_and_si512(upper_last, _mm512_set1_epi8(15));
      if constexpr (S::bits == 4) return low;
      const std::uint64_t first = load_at<std::uint32_t>(block(0) + S::high_at);
      const std::uint64_t second = load_at<std::uint32_t>(block(1) + S::high_at);
      return _mm512_mask_add_epi8(low, first | second << 32, low, _mm512_set1_epi8(16));
    }
  }

  // Of eight vectors, each two blocks': the sum of the lanes of each block.
  static Int block_sums(const Int (&v)[8]) {
    const auto pairs = [&](int i) {
      return _mm512_add_epi32(_mm512_unpacklo_epi32(v[i], v[i + 1]),
                              _mm512_unpackhi_epi32(v[i], v[i + 1]));
    };
    const auto fours = [](Int a, Int b) {
      return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    };
    const Int first = fours(pairs(0), pairs(2));
    const Int second = fours(pairs(4), pairs(6));
    const Int sums = _mm512_add_epi32(_mm512_shuffle_i32x4(first, second, 0x88),
                                      _mm512_shuffle_i32x4(first, second, 0xdd));
    // Even blocks, then odd ones, of the first eight and of the second.
    const Int in_order = _mm512_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
    return _mm512_permutexvar_epi32(in_order, sums);
  }

  // dots - raised · sums
  static Int without(Int dots, int raised, const std::int32_t* sums) {
    const Int a = _mm512_loadu_si512(sums);
    return _mm512_sub_epi32(dots, _mm512_mullo_epi32(a, _mm512_set1_epi32(raised)));
  }

  // The columns of sixteen rows of sixteen, `step` floats apart.
  static void transpose(const float* rows, std::size_t step, Float (&columns)[16]) {
    for (int i = 0; i < 16; i += 4) {
      Float four[4];
      load_columns(rows + i, step, four);
      for (int k = 0; k < 4; ++k) columns[i + k] = four[k];
    }
  }
};

}  // namespace
}  // namespace ggmlkit
