// Ways to sum products of weight bytes and activation bytes over a block or a part of it, exactly.
// `L` is a width of vectors (kernels/avx2/lanes.h), whose 32-bit lanes are rows. `raised` is how
// much larger the bytes that are multiplied are than the values.
#pragma once

#include <type_traits>

#include "kernels/layouts/packed_tiles.h"

namespace ggmlkit {
namespace {

// What a block of one token's activations sums to; see ActivationView.
struct BlockSums {
  std::int32_t sum;
  std::int32_t start;
  std::int32_t first;
};

inline BlockSums sums_at(const ActivationView& x, std::size_t i) {
  return {x.sum[i], x.start[i], x.first[i]};
}

// -offset · Σa over the activations of each 16-bit lane in a part of the block.
template <class L, PackedKind kind, int offset>
typename L::Int start16(const BlockSums& a, std::size_t part) {
  using Int = typename L::Int;
  static_assert(offset == 0 || offset == 1 || offset == 4 || offset == 8 || offset == 12 ||
                offset == 16 || offset == 32);
  if constexpr (offset == 0) return L::zero();
  Int eight = L::broadcast32(a.start);
  if constexpr (Packed<kind>::parts == 2) {
    const Int first = L::broadcast32(a.first);
    eight = part == 0 ? first : L::subtract16(eight, first);
  }
  if constexpr (offset == 1) return L::half16(L::half16(L::half16(eight)));
  if constexpr (offset == 4) return L::half16(eight);
  if constexpr (offset == 12) return L::add16(eight, L::half16(eight));
  if constexpr (offset == 16) return L::add16(eight, eight);
  if constexpr (offset == 32) return L::template moved<2>(eight);
  return eight;
}

// The values that codes stand for, so much larger, for byte shuffles.
template <PackedKind kind, int bias>
struct ShiftedTable {
  alignas(16) std::int8_t values[16] = {};
  constexpr ShiftedTable() {
    for (int i = 0; i < 16; ++i) {
      values[i] = static_cast<std::int8_t>(Packed<kind>::stored.table[i] + bias);
    }
  }
};
template <PackedKind kind, int bias>
constexpr ShiftedTable<kind, bias> kShiftedTable;

// The bytes that are multiplied: `bias` larger than the values, where these have a table.
template <class L, PackedKind kind, int bias>
typename L::Int looked_up(typename L::Int codes) {
  if constexpr (Packed<kind>::has_table) {
    return L::lookup(kShiftedTable<kind, bias>.values, codes);
  } else {
    return codes;
  }
}

// What makes small weights unsigned: of tiny floats the largest, which five bits hold then.
template <PackedKind kind>
constexpr int kSmallOffset = Packed<kind>::has_table ? 12 : Packed<kind>::offset;

// vpdpbusd: four products at once onto 32 bits. Weights must be unsigned, so signed bytes are
// taken 128 too large; that, as any offset, is paid in advance: sums start at -offset · Σa.
template <class L, PackedKind kind>
struct Dpbusd {
  using Int = typename L::Int;
  static constexpr int offset = Packed<kind>::fills_bytes ? 128 : kSmallOffset<kind>;
  static constexpr int raised = offset;

  static Int start(const BlockSums& a, std::size_t part) {
    if constexpr (offset == 0) {
      return L::zero();
    } else if constexpr (Packed<kind>::parts == 1) {
      // A sum fits the lower half of its lane.
      return L::madd(L::broadcast32(a.sum), L::broadcast32(-offset & 0xffff));
    } else {
      return L::madd(start16<L, kind, offset>(a, part), L::broadcast16(1));
    }
  }
  static Int weights(Int codes) {
    if constexpr (Packed<kind>::is_byte) return L::exclusive_or(codes, L::broadcast8(-128));
    return looked_up<L, kind, offset>(codes);
  }
  static void accumulate(Int& sum, Int w, Int a) { sum = L::dpbusd(sum, w, a); }
  static Int finish(Int sum, const BlockSums&) { return sum; }
};

// vpmaddubsw: two products onto 16 bits, which sum the products of their row before they widen:
// sixteen, or eight of a part. A lane starts at -offset · Σa over its activations, so that it ends
// at Σ (q - offset)·a; with |a| ≤ 127, what wraps on the way unwraps again where that fits:
//   |q - offset| ≤ 16 in a block    16 · 16 · 127 = 32512 (mxfp4 12: less)
//   |q - offset| ≤ 32 in a part      8 · 32 · 127 = 32512 (q6_K; q3_K 4, q2_K 3: less)
// A maddubs itself is at most 2 · 63 · 127 = 16002. Four bits without an offset are at most
// 16 · 15 · 127 = 30480; five are not within 16 bits, so they get one, given back at the end.
template <class L, PackedKind kind>
struct SmallMaddubs {
  using Int = typename L::Int;
  static constexpr bool returns_offset = kind == PackedKind::five_min || kind == PackedKind::q5_K;
  static constexpr int offset = returns_offset ? 16 : kSmallOffset<kind>;
  static constexpr int raised = kSmallOffset<kind>;

  static Int start(const BlockSums& a, std::size_t part) {
    return start16<L, kind, offset>(a, part);
  }
  static Int weights(Int codes) { return looked_up<L, kind, offset>(codes); }
  static void accumulate(Int& sum, Int w, Int a) {
    sum = L::add16(sum, L::maddubs(w, a));
    L::hold(sum);
  }
  static Int finish(Int sum, const BlockSums& a) {
    const Int wide = L::madd(sum, L::broadcast16(1));
    if constexpr (returns_offset) return L::add32(wide, L::broadcast32(offset * a.sum));
    return wide;
  }
};

// Signed bytes: |w| ≤ 128, and a with w's sign. A pair is at most 2 · 128 · 127 = 32512, so each
// product widens at once.
template <class L, PackedKind kind>
struct SignedMaddubs {
  using Int = typename L::Int;
  static constexpr int raised = 0;

  static Int start(const BlockSums&, std::size_t) { return L::zero(); }
  static Int weights(Int codes) { return looked_up<L, kind, 0>(codes); }
  static void accumulate(Int& sum, Int w, Int a) {
    const Int pairs = L::maddubs(L::absolute8(w), L::with_sign_of(w, a));
    sum = L::add32(sum, L::madd(pairs, L::broadcast16(1)));
    L::hold(sum);
  }
  static Int finish(Int sum, const BlockSums&) { return sum; }
};

template <class L, PackedKind kind>
using Maddubs =
    std::conditional_t<Packed<kind>::fills_bytes, SignedMaddubs<L, kind>, SmallMaddubs<L, kind>>;

}  // namespace
}  // namespace ggmlkit
