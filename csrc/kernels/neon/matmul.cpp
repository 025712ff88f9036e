// Products of packed tiles with widening multiplies, for processors without dot product
// instructions.
#include "kernels/neon/neon.h"
#include "kernels/neon/tile_product.h"

namespace ggmlkit::neon {
namespace {

// The four activations of slot s that quad k is multiplied with, of quantized block i in a panel of
// W, repeated.
template <int W>
int8x16_t broadcast4(const ActivationView& x, std::size_t i, std::size_t k, std::size_t s) {
  std::int32_t four;
  std::memcpy(&four, x.q + ((i * 8 + k) * W + s) * 4, 4);
  return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

// Products of two rows a register, column by column: a Quad's four pairs of rows.
struct Products {
  int16x8_t pair[4];
};

inline void multiply_quad(Products& p, const Quad& w, int8x16_t a) {
  for (int h = 0; h < 2; ++h) {
    p.pair[2 * h] = vmull_s8(vget_low_s8(w.val[h]), vget_low_s8(a));
    p.pair[2 * h + 1] = vmull_high_s8(w.val[h], a);
  }
}

inline void accumulate_quad(Products& p, const Quad& w, int8x16_t a) {
  for (int h = 0; h < 2; ++h) {
    p.pair[2 * h] = vmlal_s8(p.pair[2 * h], vget_low_s8(w.val[h]), vget_low_s8(a));
    p.pair[2 * h + 1] = vmlal_high_s8(p.pair[2 * h + 1], w.val[h], a);
  }
}

// Widens the products of two quads at once.
inline void add_two_quads(int32x4_t (&sum)[4], const Quad& v, int8x16_t a, const Quad& w,
                          int8x16_t b) {
  for (int h = 0; h < 2; ++h) {
    const int16x8_t low = vmull_s8(vget_low_s8(v.val[h]), vget_low_s8(a));
    sum[2 * h] = vpadalq_s16(sum[2 * h], vmlal_s8(low, vget_low_s8(w.val[h]), vget_low_s8(b)));
    const int16x8_t high = vmull_high_s8(v.val[h], a);
    sum[2 * h + 1] = vpadalq_s16(sum[2 * h + 1], vmlal_high_s8(high, w.val[h], b));
  }
}

// Four sums to a row become one.
inline Rows sum_columns(const int32x4_t (&pair)[4]) {
  return {{vpaddq_s32(pair[0], pair[1]), vpaddq_s32(pair[2], pair[3])}};
}

struct WideningDot {
  static constexpr int tokens = 2;  // four would spill their sums

  // A 16-bit lane sums eight products, at most 8 · 31 · 127 = 31496, which fits, or four of a part,
  // at most 4 · 63 · 127 = 32004; of whole bytes two, at most 2 · 128 · 127 = 32512.
  template <PackedKind kind, int part, int T, int W, class Weights>
  static void block(const Weights& w, const ActivationView& x, std::size_t i, std::size_t b,
                    std::size_t s, Rows (&dot)[T]) {
    if constexpr (Packed<kind>::fills_bytes) {
      whole_bytes<W>(w, x, i, b, s, dot);
    } else {
      small_numbers<kind, part, W>(w, x, i, b, s, dot);
    }
  }

 private:
  template <PackedKind kind, int part, int W, int T, class Weights>
  static void small_numbers(const Weights& w, const ActivationView& x, std::size_t i, std::size_t b,
                            std::size_t s, Rows (&dot)[T]) {
    using P = Packed<kind>;
    Products sum[T];
    each<kQuads<kind>>([&](auto n) {
      constexpr int k = nth_quad<kind>(part, decltype(n)::value);
      const Quad quad = w.template quad<k>(b);
      for (std::size_t t = 0; t < T; ++t) {
        const int8x16_t a = broadcast4<W>(x, i, k, s + t);
        if constexpr (n == 0) {
          multiply_quad(sum[t], quad, a);
        } else {
          accumulate_quad(sum[t], quad, a);
        }
      }
    });
    for (std::size_t t = 0; t < T; ++t) {
      int32x4_t wide[4];
      for (int p = 0; p < 4; ++p) wide[p] = vpaddlq_s16(sum[t].pair[p]);
      dot[t] = sum_columns(wide);
      if constexpr (P::offset != 0) {
        const std::int32_t a_sum = part_sum<P::parts>(x, i * W + s + t, part);
        const int32x4_t excess = vdupq_n_s32(P::offset * a_sum);
        for (int h = 0; h < 2; ++h) dot[t].val[h] = vsubq_s32(dot[t].val[h], excess);
      }
    }
  }

  template <int W, int T, class Weights>
  static void whole_bytes(const Weights& w, const ActivationView& x, std::size_t i, std::size_t b,
                          std::size_t s, Rows (&dot)[T]) {
    int32x4_t wide[T][4];
    for (auto& token : wide) {
      for (int32x4_t& pair : token) pair = vdupq_n_s32(0);
    }
    each<4>([&](auto k) {  // k and k + 4 share their nibbles
      const Quad first = w.template quad<k>(b);
      const Quad second = w.template quad<k + 4>(b);
      for (std::size_t t = 0; t < T; ++t) {
        add_two_quads(wide[t], first, broadcast4<W>(x, i, k, s + t), second,
                      broadcast4<W>(x, i, k + 4, s + t));
      }
    });
    for (int t = 0; t < T; ++t) dot[t] = sum_columns(wide[t]);
  }
};

}  // namespace

void fill_matmul(KernelTable& table) { set_products<TileProduct<WideningDot>>(table); }

}  // namespace ggmlkit::neon
