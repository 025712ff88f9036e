// Products with packed tiles: integer dot products of R tiles (8 rows each) with T tokens in
// registers, scaled once a block. As generic/tile_matmul.h, but halves of a block meet their scales
// as integers, which there is no dot product instruction to do better than.
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/block_dots.h"

namespace ggmlkit::avx2 {
namespace {

// `run` is a function of its own, as its callers would copy it.
template <class Set, PackedKind kind, int T, int W>
struct Product {
  template <class Source, int R>
  [[gnu::noinline]] static void run(const BlockRange<Set, kind, Source, R>& range,
                                    const ActivationView& x, std::size_t first, std::size_t s) {
    const std::size_t ahead = Source::is_cached || s != 0 ? 0 : range.ahead;
    using P = Packed<kind>;
    __m256 total[R][T];
#pragma GCC unroll 8
    for (std::size_t t = 0; t < T; ++t) {
#pragma GCC unroll 8
      for (std::size_t r = 0; r < R; ++r) total[r][t] = range.begin(first + s + t, r);
    }
    const std::size_t end = quantized_from(x, range.first_block + range.blocks);
    for (std::size_t i = quantized_from(x, range.first_block); i < end; ++i) {
      const std::size_t b = x.blocks[i] - range.first_block;
      if (ahead != 0) {
        prefetch<L, kind, R>(address_ahead<L, kind, R>(range.tile[0].blocks, range.at, b, ahead),
                             range.at);
      }
      __m256i dot[R][T];
      dot_block<kind, T, W>(range.weights, range.tile, x, i, b, s, dot);
      __m256 scale[R];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        scale[r] = P::parts == 1 ? range.tile[r].scale(b, 0) : range.tile[r].unit(b);
      }
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) {
        const __m256 a_scale = _mm256_set1_ps(x.scale[i * W + s + static_cast<std::size_t>(t)]);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          total[r][t] = _mm256_fmadd_ps(_mm256_mul_ps(scale[r], a_scale),
                                        _mm256_cvtepi32_ps(dot[r][t]), total[r][t]);
        }
      }
      if constexpr (P::has_min) {
#pragma GCC unroll 2
        for (std::size_t part = 0; part < P::parts; ++part) {
          float a_sums[T];
          sum_activations<kind>(x, i * W + s, part, a_sums);
          __m256 min[R];
#pragma GCC unroll 8
          for (int r = 0; r < R; ++r) min[r] = range.tile[r].min(b, part);
#pragma GCC unroll 8
          for (int t = 0; t < T; ++t) {
            const __m256 a_sum = _mm256_set1_ps(a_sums[t]);
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) total[r][t] = _mm256_fmadd_ps(min[r], a_sum, total[r][t]);
          }
        }
      }
    }
#pragma GCC unroll 8
    for (std::size_t t = 0; t < T; ++t) {
#pragma GCC unroll 8
      for (std::size_t r = 0; r < R; ++r) range.end(first + s + t, r, total[r][t]);
    }
  }
};

}  // namespace

void fill_matmul(KernelTable& table) { fill_tile_matmul<Avx2, Product>(table); }

}  // namespace ggmlkit::avx2
