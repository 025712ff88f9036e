// Dot products of one block of packed tiles: what R tiles (8 rows each) and T tokens give in whole
// numbers.
#pragma once

#include "kernels/avx2/lanes.h"
#include "kernels/generic/tile_ranges.h"

namespace ggmlkit::avx2 {
namespace {

using L = Lanes256;
inline __m256i broadcast4(const std::int8_t* a) { return L::broadcast32(load_at<std::int32_t>(a)); }

// What products with packed tiles need to know of this set; see generic/tile_ranges.h.
struct Avx2 {
  using Lanes = Lanes256;
  template <PackedKind kind>
  using Dot = Maddubs<L, kind>;
  // Eight sums, the weights of two quads and a broadcast activation fill the sixteen registers.
  static constexpr int tiles = 2;
  static constexpr int tokens = 4;
  static constexpr bool expands_bytes = false;
};

template <PackedKind kind>
using Dot = Avx2::Dot<kind>;

// What Dot<kind> sums over a part of block b, for R tiles and T tokens from slot s of a panel of W,
// whose quantized block i it is.
template <PackedKind kind, int part, int T, int W, class Source, int R>
[[gnu::always_inline]] inline void sum_part(const Source (&w)[R], const ActivationView& x,
                                            std::size_t i, std::size_t b, std::size_t s,
                                            __m256i (&sum)[R][T]) {
  const std::int8_t* q = x.q + (i * 8 * W + s) * 4;
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) {
    const std::size_t at = i * W + s + static_cast<std::size_t>(t);
    const __m256i start = Dot<kind>::start(sums_at(x, at), part);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) sum[r][t] = start;
  }
  each<kQuadsOfPart<kind>>([&](auto n) {
    constexpr int k = nth_quad<kind>(part, decltype(n)::value);
    __m256i weights[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) weights[r] = w[r].template quad<k>(b);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      const __m256i a = broadcast4(q + (k * W + t) * 4);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) Dot<kind>::accumulate(sum[r][t], weights[r], a);
    }
  });
}

// A part's scales, small integers, in both halves of a lane.
template <PackedKind kind>
inline __m256i small_scales(const TileBlocks<L, kind>& from, std::size_t b, std::size_t part) {
  const __m256i pairs = L::load_byte_pairs(from.scales(b, part));
  return Packed<kind>::shares_bytes ? L::both(pairs, L::broadcast16(15)) : pairs;
}

// Eight int32 a token, one a row. Of two parts each is multiplied by its small scale on widening;
// their sum, at most 2 · 128 · 16 · 32 · 127 < 2^24 (q6_K), is exact as a float too.
template <PackedKind kind, int T, int W, class Source, int R>
[[gnu::always_inline]] inline void dot_block(const Source (&w)[R],
                                             const TileBlocks<L, kind> (&tile)[R],
                                             const ActivationView& x, std::size_t i, std::size_t b,
                                             std::size_t s, __m256i (&dot)[R][T]) {
  if constexpr (Packed<kind>::parts == 1) {
    sum_part<kind, 0, T, W>(w, x, i, b, s, dot);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      const BlockSums sums = sums_at(x, i * W + s + static_cast<std::size_t>(t));
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) dot[r][t] = Dot<kind>::finish(dot[r][t], sums);
    }
  } else {
    each<2>([&](auto index) {
      constexpr int part = decltype(index)::value;
      __m256i sum[R][T];
      sum_part<kind, part, T, W>(w, x, i, b, s, sum);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const __m256i small = small_scales(tile[r], b, part);
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t) {
          const __m256i product = L::madd(sum[r][t], small);
          dot[r][t] = part == 0 ? product : L::add32(dot[r][t], product);
        }
      }
    });
  }
}

// What T tokens' activations sum to over a part of a block, from value `at` of a panel on: what a
// minimum is multiplied with.
template <PackedKind kind, int T>
[[gnu::always_inline]] inline void sum_activations(const ActivationView& x, std::size_t at,
                                                   std::size_t part, float (&sums)[T]) {
  if constexpr (Packed<kind>::parts == 2 && T == 4) {
    const auto load = [&](const std::int32_t* p) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + at));
    };
    const __m128i minus_eight = _mm_madd_epi16(load(x.first), _mm_set1_epi16(1));
    const __m128i first = _mm_srai_epi32(_mm_sub_epi32(_mm_setzero_si128(), minus_eight), 3);
    const __m128i sum = part == 0 ? first : _mm_sub_epi32(load(x.sum), first);
    _mm_storeu_ps(sums, _mm_mul_ps(_mm_loadu_ps(x.scale + at), _mm_cvtepi32_ps(sum)));
  } else {
#pragma GCC unroll 8
    for (std::size_t t = 0; t < T; ++t) {
      const auto sum = static_cast<float>(part_sum<Packed<kind>::parts>(x, at + t, part));
      sums[t] = x.scale[at + t] * sum;
    }
  }
}

}  // namespace
}  // namespace ggmlkit::avx2
