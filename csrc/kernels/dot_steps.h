// Two ways to sum products of weight bytes and activation bytes over a block, exactly. `L` is a
// width of vectors (kernels/avx512/lanes.h), whose 32-bit lanes are rows.
#pragma once

#include "kernels/packed.h"

namespace ggmlkit {
namespace {

// What a block of one token's activations sums to; see ActivationView.
struct BlockSums {
  std::int32_t sum;
  std::int32_t start;
};

// vpdpbusd: four products at once onto 32 bits. Weights must be unsigned, so signed bytes are
// taken 128 too large; that, as any offset, is paid in advance: sums start at -offset · Σa.
template <class L, PackedKind kind>
struct Dpbusd {
  using Int = typename L::Int;
  static constexpr bool is_byte = Packed<kind>::is_byte;
  static constexpr int offset = is_byte ? 128 : Packed<kind>::offset;

  static Int start(const BlockSums& a) {
    return offset == 0 ? L::zero() : L::broadcast32(-offset * a.sum);
  }
  static Int weights(Int w) { return is_byte ? L::exclusive_or(w, L::broadcast8(-128)) : w; }
  static void accumulate(Int& sum, Int w, Int a) { sum = L::dpbusd(sum, w, a); }
  static Int finish(Int sum, const BlockSums&) { return sum; }
};

// vpmaddubsw: two products onto 16 bits, which sum sixteen products of their row before they widen.
// A lane starts at -offset · Σa over its activations, so that it ends at Σ (q - offset)·a: with
// |q - offset| ≤ 16 and |a| ≤ 127 at most 16 · 16 · 127 = 32512, which fits; what wraps on the way
// unwraps again. A maddubs itself is at most 2 · 31 · 127. Four bits without an offset are at most
// 16 · 15 · 127 = 30480; five are not within 16 bits, so they get one, given back at the end.
template <class L, PackedKind kind>
struct Maddubs {
  using Int = typename L::Int;
  static constexpr bool returns_offset = kind == PackedKind::five_min;
  static constexpr int offset = returns_offset ? 16 : Packed<kind>::offset;
  static_assert(offset == 0 || offset == 8 || offset == 16);

  static Int start(const BlockSums& a) {
    if constexpr (offset == 0) return L::zero();
    const Int minus_eight = L::broadcast32(a.start);
    return offset == 8 ? minus_eight : L::add16(minus_eight, minus_eight);
  }
  static Int weights(Int w) { return w; }
  static void accumulate(Int& sum, Int w, Int a) {
    sum = L::add16(sum, L::maddubs(w, a));
    L::hold(sum);
  }
  static Int finish(Int sum, const BlockSums& a) {
    const Int wide = L::madd(sum, L::broadcast16(1));
    return returns_offset ? L::add32(wide, L::broadcast32(offset * a.sum)) : wide;
  }
};

// Bytes whose sums start in the middle of a block's, for which no sum of activations is at hand:
// |w|, and a with w's sign.
template <class L>
struct Dpbusd<L, PackedKind::byte16> {
  using Int = typename L::Int;

  static Int start(const BlockSums&) { return L::zero(); }
  static Int weights(Int w) { return w; }
  static void accumulate(Int& sum, Int w, Int a) {
    sum = L::dpbusd(sum, L::absolute8(w), L::with_sign_of(w, a));
  }
  static Int finish(Int sum, const BlockSums&) { return sum; }
};

// Signed bytes: |w| ≤ 128, and a with w's sign. A pair is at most 2 · 128 · 127 = 32512, so each
// product widens at once.
template <class L>
struct SignedMaddubs {
  using Int = typename L::Int;

  static Int start(const BlockSums&) { return L::zero(); }
  static Int weights(Int w) { return w; }
  static void accumulate(Int& sum, Int w, Int a) {
    const Int pairs = L::maddubs(L::absolute8(w), L::with_sign_of(w, a));
    sum = L::add32(sum, L::madd(pairs, L::broadcast16(1)));
    L::hold(sum);
  }
  static Int finish(Int sum, const BlockSums&) { return sum; }
};

template <class L>
struct Maddubs<L, PackedKind::byte> : SignedMaddubs<L> {};
template <class L>
struct Maddubs<L, PackedKind::byte16> : SignedMaddubs<L> {};

}  // namespace
}  // namespace ggmlkit
