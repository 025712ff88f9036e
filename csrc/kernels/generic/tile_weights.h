// Weights as they come out of packed tiles, on vectors of any width: `L` (avx2/lanes.h) names what
// a width does; a vector has a quad of each row, its 32-bit lanes are rows.
#pragma once

#include "kernels/layouts/packed_tiles.h"

namespace ggmlkit {
namespace {

// Blocks of a tile that follow each other.
template <class L, PackedKind kind>
struct TileBlocks {
  using Int = typename L::Int;
  using Float = typename L::Float;
  using P = Packed<kind>;
  static constexpr std::size_t kVector = 4 * L::rows;
  static constexpr std::size_t kBytes = P::block_bytes * L::rows;

  const std::byte* blocks;
  const std::byte* supers;

  // From b blocks further on, b being a multiple of kBlocksOfSuper.
  TileBlocks from(std::size_t b) const { return {block(b), super(b)}; }

  const std::byte* block(std::size_t b) const { return blocks + b * kBytes; }

  // Quad k of block b: bytes of a byte kind, unsigned below that.
  template <int k>
  [[gnu::always_inline]] Int quad(std::size_t b) const {
    constexpr int low = P::stored.low_bits;
    constexpr int high = P::stored.high_bits;
    const Int v = vector<low, k>(block(b));
    if constexpr (P::is_byte) {
      return v;
    } else {
      const Int code =
          L::both(L::template moved<-bit_of(low, k)>(v), L::broadcast8((1 << low) - 1));
      if constexpr (P::has_high) {
        const Int h = vector<high, k>(block(b) + P::highs_at * L::rows);
        constexpr int mask = ((1 << high) - 1) << low;
        return L::or_both(code, L::template moved<low - bit_of(high, k)>(h), L::broadcast8(mask));
      } else {
        return code;
      }
    }
  }

  // What the scales of block b count in.
  [[gnu::always_inline]] Float unit(std::size_t b) const { return L::load_halves(super(b)); }

  // Of a part of block b.
  const std::byte* scales(std::size_t b, std::size_t part) const {
    constexpr std::size_t bytes = P::scale_bytes / P::parts;
    return block(b) + (P::scales_at + part * bytes) * L::rows;
  }

  // Of a part of block b. Products of nested scales are exact: 11 bits times 8 at most.
  [[gnu::always_inline]] Float scale(std::size_t b, std::size_t part) const {
    const std::byte* p = scales(b, part);
    if constexpr (P::shares_bytes) return L::multiply(unit(b), L::load_low_nibbles(p));
    if constexpr (P::is_nested) return L::multiply(unit(b), L::load_bytes(p));
    if constexpr (P::stored.scales == Scales::bf16) return L::load_bf16(p);
    return L::load_halves(p);
  }

  [[gnu::always_inline]] Float min(std::size_t b, std::size_t part) const {
    const std::byte* p = block(b) + P::mins_at * L::rows;
    if constexpr (!P::is_nested) return L::load_halves(p);
    const Float unit = L::load_halves(super(b) + 2 * L::rows);
    if constexpr (P::shares_bytes) return L::multiply(unit, L::load_high_nibbles(scales(b, part)));
    return L::multiply(unit, L::load_bytes(p));
  }

 private:
  template <int n, int k>
  [[gnu::always_inline]] static Int vector(const std::byte* codes) {
    return L::load(codes + static_cast<std::size_t>(vector_of(n, k)) * kVector);
  }
  const std::byte* super(std::size_t b) const {
    return supers + b / kBlocksOfSuper * P::super_bytes * L::rows;
  }
};

// What a pass over R tiles that follow each other reads so many bytes after block b of the first:
// behind the end of a tile that is the beginning of the tile R further on.
template <class L, PackedKind kind, int R>
[[gnu::always_inline]] inline const std::byte* address_ahead(const std::byte* tiles,
                                                             const TileLayout& at, std::size_t b,
                                                             std::size_t ahead) {
  const std::size_t from = b * TileBlocks<L, kind>::kBytes + ahead;
  return tiles + (R > 1 && from >= at.bytes ? from + (R - 1) * at.bytes : from);
}

// Prefetches the block there, of each of R tiles, or part k of it where it is prefetched in so many
// parts: requests that come all at once wait for each other. Supers, a few bytes for eight blocks,
// are left to the processor's own prefetchers.
template <class L, PackedKind kind, int R, int k = 0, int parts = 1>
[[gnu::always_inline]] inline void prefetch(const std::byte* block, const TileLayout& at) {
  for (int r = 0; r < R; ++r, block += at.bytes) {
    for (std::size_t line = 64 * k; line < TileBlocks<L, kind>::kBytes; line += 64 * parts) {
      __builtin_prefetch(block + line);
    }
  }
}

}  // namespace
}  // namespace ggmlkit
