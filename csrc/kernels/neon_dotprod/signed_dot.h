// One block by `sdot`: four products of bytes and their sum into each int32 lane. Weights are used
// without their offset taken off, as they fit a signed byte; the sums start at -offset · Σa, which
// costs one instruction a token where taking it off would cost sixteen a block.
#pragma once

#include "kernels/neon/tile_product.h"

namespace ggmlkit::neon {
namespace {

struct SignedDot {
  static constexpr int tokens = 4;

  template <PackedKind kind, int T, int W, class Weights>
  static void block(const Weights& w, const ActivationView& x, std::size_t b, std::size_t s,
                    Rows (&dot)[T]) {
    for (std::size_t t = 0; t < T; ++t) {
      dot[t].val[0] = dot[t].val[1] = vdupq_n_s32(-Packed<kind>::offset * x.sum[b * W + s + t]);
    }
    const std::int8_t* q = x.q + (b * 8 * W + s) * 4;
    each<4>([&](auto i) {
      Quad low;
      Quad high;
      w.template quads<i>(b, low, high);
      accumulate<i, W>(dot, low, q);
      accumulate<i + 4, W>(dot, high, q);
    });
  }

 private:
  // Quad k: the four activations of a token that meet it are a lane of a register of the panel.
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
