// One block by `sdot`: four products of bytes and their sum into each int32 lane. Weights are used
// without their offset taken off, as they fit a signed byte; the sums start at -offset · Σa, which
// costs one instruction a token where taking it off would cost sixteen a block.
#pragma once

#include "kernels/neon/tile_product.h"

namespace ggmlkit::neon {
namespace {

struct SignedDot {
  static constexpr int tokens = 4;

  template <PackedKind kind, int part, int T, int W, class Weights>
  static void block(const Weights& w, const ActivationView& x, std::size_t i, std::size_t b,
                    std::size_t s, Rows (&dot)[T]) {
    using P = Packed<kind>;
    for (std::size_t t = 0; t < T; ++t) {
      const std::int32_t sum = P::offset == 0 ? 0 : part_sum<P::parts>(x, i * W + s + t, part);
      dot[t].val[0] = dot[t].val[1] = vdupq_n_s32(-P::offset * sum);
    }
    const std::int8_t* q = x.q + (i * 8 * W + s) * 4;
    each<kQuads<kind>>([&](auto n) {
      constexpr int k = nth_quad<kind>(part, decltype(n)::value);
      accumulate<k, W>(dot, w.template quad<k>(b), q);
    });
  }

 private:
  // Quad k: the four activations of a token that it is multiplied with are a lane of a register of
  // the panel.
  template <int k, int W, int T>
  static void accumulate(Rows (&dot)[T], const Quad& w, const std::int8_t* q) {
    each<T>([&](auto t) {
      constexpr int place = k * W + t;
      const int8x16_t a = vld1q_s8(q + place / 4 * 16);
      for (int h = 0; h < 2; ++h) {
        dot[t].val[h] = vdotq_laneq_s32(dot[t].val[h], w.val[h], a, place % 4);
      }
    });
  }
};

}  // namespace
}  // namespace ggmlkit::neon
