// Types whose elements are points of a lattice to float32. A point's word is spread over eight
// lanes, and what its few bits stand for looked up in a register.
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/stores.h"
#include "kernels/layouts/grids/iq1.h"
#include "kernels/layouts/iq1_blocks.h"
#include "kernels/layouts/iq2_iq3_blocks.h"

namespace ggmlkit::avx2 {
namespace {

// Up and down; indexed, as what is random had better not be branched on.
constexpr float kMoves[2] = {kIq1Moved, -kIq1Moved};

template <class B, class Store>
void dequantize_iq1(const std::byte* src, float* dst, std::size_t n) {
  const __m256i bits = _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14);
  // What two bits stand for: a shuffle looks at a lane's lowest two alone.
  const __m256 values = _mm256_setr_ps(-1, 0, 1, 0, -1, 0, 1, 0);
  for (std::size_t i = 0; i < n / B::size; ++i) {
    block_at<B>(src, i).for_points([&](int point, float scale, bool is_down) {
      const __m256i elements = _mm256_srlv_epi32(_mm256_set1_epi32(kIq1Points[point]), bits);
      const __m256 moved = _mm256_add_ps(_mm256_permutevar_ps(values, elements),
                                         _mm256_broadcast_ss(&kMoves[is_down]));
      Store::store(dst, _mm256_mul_ps(_mm256_set1_ps(scale), moved));
      dst += 8;
    });
  }
}

// The words of a point of eight elements, or of two points of four.
template <class B>
int words(const int (&point)[1]) {
  return B::points[point[0]];
}
template <class B>
int words(const int (&two)[2]) {
  return B::points[two[0]] | static_cast<int>(std::uint32_t{B::points[two[1]]} << 16);
}

// Lane e's sign bit is bit e.
__m256 sign_mask(int signs) {
  const __m256i at_top = _mm256_sllv_epi32(_mm256_set1_epi32(signs),
                                           _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24));
  return _mm256_and_ps(_mm256_castsi256_ps(at_top), _mm256_set1_ps(-0.0f));
}

template <class B, class Store>
void dequantize_signed(const std::byte* src, float* dst, std::size_t n) {
  constexpr int w = B::bits;
  const __m256i bits = _mm256_setr_epi32(0, w, 2 * w, 3 * w, 4 * w, 5 * w, 6 * w, 7 * w);
  // The permutation looks at a lane's lowest three bits alone: of two, the third is the next's.
  const __m256 magnitudes = _mm256_loadu_ps(B::magnitudes);
  for (std::size_t i = 0; i < n / B::size; ++i) {
    block_at<B>(src, i).for_eights([&](const auto& points, float scale, int signs) {
      const __m256i elements = _mm256_srlv_epi32(_mm256_set1_epi32(words<B>(points)), bits);
      const __m256 v = _mm256_permutevar8x32_ps(magnitudes, elements);
      Store::store(dst, _mm256_xor_ps(_mm256_mul_ps(_mm256_set1_ps(scale), v), sign_mask(signs)));
      dst += 8;
    });
  }
}

}  // namespace

void fill_dequantize_i_quants(KernelTable& table) {
  const auto set = [&](Type type, auto kernel) {
    table.types[static_cast<std::size_t>(type)].dequantize = kernel;
  };
  set(Type::iq1_s, by_size<dequantize_iq1<Iq1S, Cached>, dequantize_iq1<Iq1S, Streamed>>);
  set(Type::iq1_m, by_size<dequantize_iq1<Iq1M, Cached>, dequantize_iq1<Iq1M, Streamed>>);
  const auto set_signed = [&](Type type, auto block) {
    using B = decltype(block);
    set(type, by_size<dequantize_signed<B, Cached>, dequantize_signed<B, Streamed>>);
  };
  set_signed(Type::iq2_xxs, Iq2Xxs());
  set_signed(Type::iq2_xs, Iq2Xs());
  set_signed(Type::iq2_s, Iq2S());
  set_signed(Type::iq3_xxs, Iq3Xxs());
  set_signed(Type::iq3_s, Iq3S());
}

}  // namespace ggmlkit::avx2
