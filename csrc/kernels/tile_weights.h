// Weights as they come out of packed tiles, on vectors of any width: `L` (avx2/lanes.h) names what
// a width does; a vector has a quad of each row, its 32-bit lanes are rows.
#pragma once

#include "kernels/packed.h"

namespace ggmlkit {
namespace {

// Codes of blocks that follow each other.
template <class L, PackedKind kind>
struct TileCodes {
  using Int = typename L::Int;
  using P = Packed<kind>;
  static constexpr std::size_t kVector = 4 * L::rows;

  const std::byte* quants;
  const std::byte* highs;

  TileCodes from(std::size_t b) const {
    return {quants + b * P::vectors * kVector, highs + b * P::high_vectors * kVector};
  }

  // Quad k of block b: bytes of a byte kind, unsigned below that.
  template <int k>
  [[gnu::always_inline]] Int quad(std::size_t b) const {
    constexpr int low = P::stored.low_bits;
    constexpr int high = P::stored.high_bits;
    const Int v = vector<low, k>(quants + b * P::vectors * kVector);
    if constexpr (P::is_byte) {
      return v;
    } else {
      const Int code =
          L::both(L::template moved<-bit_of(low, k)>(v), L::broadcast8((1 << low) - 1));
      if constexpr (P::has_high) {
        const Int h = vector<high, k>(highs + b * P::high_vectors * kVector);
        constexpr int mask = ((1 << high) - 1) << low;
        return L::or_both(code, L::template moved<low - bit_of(high, k)>(h), L::broadcast8(mask));
      } else {
        return code;
      }
    }
  }

 private:
  template <int n, int k>
  [[gnu::always_inline]] static Int vector(const std::byte* block) {
    return L::load(block + static_cast<std::size_t>(vector_of(n, k)) * kVector);
  }
};

// Areas of a tile, from some block on, that its scales and minima come from.
template <class L, PackedKind kind>
struct TileScales {
  using Float = typename L::Float;
  using P = Packed<kind>;

  const std::byte* scales;
  const std::byte* mins;
  const std::byte* supers;

  // From b blocks further on, b being a multiple of kBlocksOfSuper.
  TileScales from(std::size_t b) const {
    return {scales + b * P::scale_bytes * L::rows, mins + b * P::min_bytes * L::rows, super(b)};
  }

  // What the scales of block b count in.
  [[gnu::always_inline]] Float unit(std::size_t b) const { return L::load_halves(super(b)); }

  const std::byte* scales_of(std::size_t b, std::size_t part) const {
    constexpr std::size_t bytes = P::scale_bytes / P::parts;
    return scales + (b * P::parts + part) * bytes * L::rows;
  }

  // Of a part of block b. Products of nested scales are exact: 11 bits times 8 at most.
  [[gnu::always_inline]] Float scale(std::size_t b, std::size_t part) const {
    const std::byte* p = scales_of(b, part);
    if constexpr (P::shares_bytes) return L::multiply(unit(b), L::load_low_nibbles(p));
    if constexpr (P::is_nested) return L::multiply(unit(b), L::load_bytes(p));
    if constexpr (P::stored.scales == Scales::bf16) return L::load_bf16(p);
    return L::load_halves(p);
  }

  [[gnu::always_inline]] Float min(std::size_t b, std::size_t part) const {
    if constexpr (!P::is_nested) return L::load_halves(mins + b * 2 * L::rows);
    const Float m = L::load_halves(super(b) + 2 * L::rows);
    if constexpr (P::shares_bytes) {
      return L::multiply(m, L::load_high_nibbles(scales_of(b, part)));
    }
    return L::multiply(m, L::load_bytes(mins + b * L::rows));
  }

 private:
  const std::byte* super(std::size_t b) const {
    return supers + b / kBlocksOfSuper * P::super_bytes * L::rows;
  }
};

}  // namespace
}  // namespace ggmlkit
