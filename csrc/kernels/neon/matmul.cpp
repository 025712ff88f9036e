// Products of packed tiles with widening multiplies, for processors without dot product
// instructions.
#include "kernels/neon/neon.h"
#include "kernels/neon/tile_product.h"

namespace ggmlkit::neon {
namespace {

// The four activations of slot s that meet quad k of block b in a panel of W, repeated.
template <int W>
int8x16_t broadcast4(const ActivationView& x, std::size_t b, std::size_t k, std::size_t s) {
  std::int32_t four;
  std::memcpy(&four, x.q + ((b * 8 + k) * W + s) * 4, 4);
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

  // A 16-bit lane sums eight products, at most 8 · 31 · 127 = 31496, which fits; of signed bytes
  // two, at most 2 · 128 · 127 = 32512.
  template <PackedKind kind, int T, int W, class Weights>
  static void block(const Weights& w, const ActivationView& x, std::size_t b, std::size_t s,
                    Rows (&dot)[T]) {
    if constexpr (Packed<kind>::is_byte) {
      signed_bytes<W>(w, x, b, s, dot);
    } else {
      small_numbers<Packed<kind>::offset, W>(w, x, b, s, dot);
    }
  }

 private:
  template <int offset, int W, int T, class Weights>
  static void small_numbers(const Weights& w, const ActivationView& x, std::size_t b, std::size_t s,
                            Rows (&dot)[T]) {
    Products sum[T];
    each<4>([&](auto i) {
      Quad low;
      Quad high;
      w.template quads<i>(b, low, high);
      for (std::size_t t = 0; t < T; ++t) {
        const int8x16_t a = broadcast4<W>(x, b, i, s + t);
        if constexpr (i == 0) {
          multiply_quad(sum[t], low, a);
        } else {
          accumulate_quad(sum[t], low, a);
        }
        accumulate_quad(sum[t], high, broadcast4<W>(x, b, i + 4, s + t));
      }
    });
    for (std::size_t t = 0; t < T; ++t) {
      int32x4_t wide[4];
      for (int p = 0; p < 4; ++p) wide[p] = vpaddlq_s16(sum[t].pair[p]);
      dot[t] = sum_columns(wide);
      if constexpr (offset != 0) {
        const int32x4_t excess = vdupq_n_s32(offset * x.sum[b * W + s + t]);
        for (int h = 0; h < 2; ++h) dot[t].val[h] = vsubq_s32(dot[t].val[h], excess);
      }
    }
  }

  template <int W, int T>
  static void signed_bytes(const FromBytes& w, const ActivationView& x, std::size_t b,
                           std::size_t s, Rows (&dot)[T]) {
    int32x4_t wide[T][4];
    for (auto& token : wide) {
      for (int32x4_t& pair : token) pair = vdupq_n_s32(0);
    }
    for (std::size_t k = 0; k < 8; k += 2) {
      const Quad first = load_quad(w.quants + (8 * b + k) * kVector);
      const Quad second = load_quad(w.quants + (8 * b + k + 1) * kVector);
      for (std::size_t t = 0; t < T; ++t) {
        add_two_quads(wide[t], first, broadcast4<W>(x, b, k, s + t), second,
                      broadcast4<W>(x, b, k + 1, s + t));
      }
    }
    for (int t = 0; t < T; ++t) dot[t] = sum_columns(wide[t]);
  }
};

}  // namespace

void fill_matmul(KernelTable& table) { set_products<TileProduct<WideningDot>>(table); }

}  // namespace ggmlkit::neon
