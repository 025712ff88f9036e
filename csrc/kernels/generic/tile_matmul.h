// Products with packed tiles on vectors of any width: integer dot products of R tiles with T tokens
// in registers, scaled once a block or once a part of it. See tile_ranges.h for `Set` and the way
// through a matrix.
#pragma once

#include "kernels/generic/tile_ranges.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

template <class Set, PackedKind kind, int T, int W>
struct TileProduct {
  using L = typename Set::Lanes;
  using Int = typename L::Int;
  using Float = typename L::Float;
  using P = Packed<kind>;
  using Dot = typename Set::template Dot<kind>;
  // Where dots and totals do not both fit the registers, totals live in memory, in the first-level
  // cache: they are touched once per block, dots eight times.
  template <int R>
  static constexpr bool kTotalsInMemory = 2 * R * T > L::registers - 7;

  // x begins with the panel's quantized block for block b of the range; `next` is a block to
  // prefetch, or null.
  template <int k, class Range, int R>
  [[gnu::always_inline]] static void step(const Range& range, const ActivationView& x,
                                          std::size_t b, const std::byte* next, Int (&dot)[R][T]) {
    if (next != nullptr) prefetch<L, kind, R, k, 8>(next, range.at);
    Int q[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) q[r] = range.weights[r].template quad<k>(b);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      std::int32_t four;
      std::memcpy(&four, x.q + 4 * (k * W + t), 4);
      const Int a = L::broadcast32(four);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) Dot::accumulate(dot[r][t], q[r], a);
    }
  }

  template <int part, class Range, int R, int... n>
  [[gnu::always_inline]] static void steps(const Range& range, const ActivationView& x,
                                           std::size_t b, const std::byte* next, Int (&dot)[R][T],
                                           std::integer_sequence<int, n...>) {
    (step<nth_quad<kind>(part, n)>(range, x, b, next, dot), ...);
  }

  template <int part, class Range, int R>
  [[gnu::always_inline]] static void dots(const Range& range, const ActivationView& x,
                                          std::size_t b, const std::byte* next, Int (&dot)[R][T]) {
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      const Int start = Dot::start(sums_at(x, t), part);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) dot[r][t] = start;
    }
    // Without `each`: the compiler keeps sums in memory that a function object refers to.
    steps<part>(range, x, b, next, dot, std::make_integer_sequence<int, kQuadsOfPart<kind>>());
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) dot[r][t] = Dot::finish(dot[r][t], sums_at(x, t));
    }
  }

  template <int part, class Range, int R>
  [[gnu::always_inline]] static void scale_and_add(const Range& range, const ActivationView& x,
                                                   std::size_t b, const Int (&dot)[R][T],
                                                   Float (&total)[R][T]) {
    Float scales[R];
    Float mins[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      scales[r] = range.tile[r].scale(b, part);
      if constexpr (P::has_min) mins[r] = range.tile[r].min(b, part);
    }
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const Float both = L::multiply(scales[r], L::broadcast(x.scale[t]));
        Float next = L::multiply_add(both, L::to_float(dot[r][t]), total[r][t]);
        if constexpr (P::has_min) {
          const auto sum = static_cast<float>(part_sum<P::parts>(x, t, part));
          const float a_sum = x.scale[t] * sum;
          next = L::multiply_add(mins[r], L::broadcast(a_sum), next);
        }
        total[r][t] = next;
      }
    }
  }

  template <int part, class Range, int R>
  [[gnu::always_inline]] static void multiply_block(const Range& range, const ActivationView& x,
                                                    std::size_t b, const std::byte* next,
                                                    Float (*&total)[R][T]) {
    Int dot[R][T];
    dots<part>(range, x, b, next, dot);
    if constexpr (kTotalsInMemory<R>) asm("" : "+r"(total));
    scale_and_add<part>(range, x, b, dot, *total);
  }

  // A function of its own, as its callers would copy it.
  template <class Source, int R>
  [[gnu::noinline]] static void run(const BlockRange<Set, kind, Source, R>& range,
                                    const ActivationView& panel, std::size_t first,
                                    std::size_t slot) {
    const std::size_t ahead = Source::is_cached || slot != 0 ? 0 : range.ahead;
    Float room[R][T];
    auto* total = &room;
#pragma GCC unroll 8
    for (std::size_t t = 0; t < T; ++t) {
#pragma GCC unroll 8
      for (std::size_t r = 0; r < R; ++r) room[r][t] = range.begin(first + slot + t, r);
    }
    std::size_t i = quantized_from(panel, range.first_block);
    const std::size_t end = quantized_from(panel, range.first_block + range.blocks);
    ActivationView x = slot_at(block_at(panel, i, W), slot);
    for (; i < end; ++i, x = block_at(x, 1, W)) {
      const std::size_t b = *x.blocks - range.first_block;
      const std::byte* next =
          ahead != 0 ? address_ahead<L, kind, R>(range.tile[0].blocks, range.at, b, ahead)
                     : nullptr;
      multiply_block<0>(range, x, b, next, total);
      if constexpr (P::parts == 2) multiply_block<1>(range, x, b, next, total);
    }
#pragma GCC unroll 8
    for (std::size_t t = 0; t < T; ++t) {
#pragma GCC unroll 8
      for (std::size_t r = 0; r < R; ++r) range.end(first + slot + t, r, (*total)[r][t]);
    }
  }
};

}  // namespace
}  // namespace ggmlkit
