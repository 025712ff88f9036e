// A packed tile as NEON reads it: eight rows, so that a vector of the layout (kernels/packed.h) is
// two registers, each with four consecutive weights of four rows.
#pragma once

#include "kernels/neon/vector.h"
#include "kernels/packed.h"

namespace ggmlkit::neon {
namespace {

constexpr std::size_t kTileRows = 8;
constexpr std::size_t kVector = 4 * kTileRows;

// Four weights of each of eight rows, as bytes from which the kind's offset is not yet taken.
struct Quad {
  int8x16_t val[2];
};

inline Quad load_quad(const std::byte* p) {
  return {{vreinterpretq_s8_u8(load16(p)), vreinterpretq_s8_u8(load16(p + 16))}};
}

// The fifth bit of quad k in its place, from a register of eight.
template <int k>
inline uint8x16_t fifth_bit(uint8x16_t highs) {
  const uint8x16_t bit = vdupq_n_u8(0x10);
  if constexpr (k < 4) {
    return vandq_u8(vshlq_n_u8(highs, 4 - k), bit);
  } else if constexpr (k > 4) {
    return vandq_u8(vshrq_n_u8(highs, k - 4), bit);
  } else {
    return vandq_u8(highs, bit);
  }
}

// Quads unpacked from a tile at each use.
template <PackedKind kind>
struct FromTile {
  const std::byte* quants;
  const std::byte* highs;

  // Quads i and i + 4 of block b.
  template <int i>
  void quads(std::size_t b, Quad& low, Quad& high) const {
    for (std::size_t half = 0; half < 2; ++half) {
      const uint8x16_t v = load16(quants + (4 * b + i) * kVector + 16 * half);
      uint8x16_t lower = vandq_u8(v, vdupq_n_u8(15));
      uint8x16_t upper = vshrq_n_u8(v, 4);
      if constexpr (Packed<kind>::has_high) {
        const uint8x16_t h = load16(highs + b * kVector + 16 * half);
        lower = vorrq_u8(lower, fifth_bit<i>(h));
        upper = vorrq_u8(upper, fifth_bit<i + 4>(h));
      }
      low.val[half] = vreinterpretq_s8_u8(lower);
      high.val[half] = vreinterpretq_s8_u8(upper);
    }
  }
};

// Quads that are bytes already: eight vectors a block, in order.
struct FromBytes {
  const std::byte* quants;

  template <int i>
  void quads(std::size_t b, Quad& low, Quad& high) const {
    low = load_quad(quants + (8 * b + i) * kVector);
    high = load_quad(quants + (8 * b + i + 4) * kVector);
  }
};

template <PackedKind kind>
auto weights_of(const std::byte* tile, const TileLayout& at) {
  if constexpr (Packed<kind>::is_byte) {
    return FromBytes{tile};
  } else {
    return FromTile<kind>{tile, tile + at.highs_at};
  }
}

// All eight quads of block b.
template <class Weights>
inline void unpack(const Weights& w, std::size_t b, Quad (&quad)[8]) {
  w.template quads<0>(b, quad[0], quad[4]);
  w.template quads<1>(b, quad[1], quad[5]);
  w.template quads<2>(b, quad[2], quad[6]);
  w.template quads<3>(b, quad[3], quad[7]);
}

}  // namespace
}  // namespace ggmlkit::neon
