// A packed tile as NEON reads it: eight rows, so that a vector of the layout
// (kernels/layouts/packed_tiles.h) is two registers, each with four consecutive weights of four
// rows.
#pragma once

#include "kernels/layouts/packed_tiles.h"
#include "kernels/neon/vector.h"

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

// Bytes by so many bits to the left.
template <int bits>
inline uint8x16_t moved(uint8x16_t v) {
  if constexpr (bits > 0) {
    return vshlq_n_u8(v, bits);
  } else if constexpr (bits < 0) {
    return vshrq_n_u8(v, -bits);
  } else {
    return v;
  }
}

// n bits of quad k's codes as bits `to` and up, from the half of a block's vectors at p.
template <int n, int k, int to>
inline uint8x16_t code_bits(const std::byte* p) {
  const uint8x16_t v = load16(p + vector_of(n, k) * kVector);
  const uint8x16_t placed = moved<to - bit_of(n, k)>(v);
  constexpr bool is_last = bit_of(n, k) + n == 8 && to == 0;  // nothing is above
  return is_last ? placed : vandq_u8(placed, vdupq_n_u8(((1 << n) - 1) << to));
}

// Blocks of a tile that follow each other, their quads unpacked at each use.
template <PackedKind kind>
struct TileBlocks {
  using P = Packed<kind>;

  const std::byte* blocks;
  const std::byte* supers;

  // From b blocks further on, b being a multiple of kBlocksOfSuper.
  TileBlocks from(std::size_t b) const { return {at(b, 0), super(b)}; }

  template <int k>
  Quad quad(std::size_t b) const {
    constexpr int low = P::stored.low_bits;
    Quad quad;
    for (std::size_t half = 0; half < 2; ++half) {
      uint8x16_t code = code_bits<low, k, 0>(at(b, 0) + 16 * half);
      if constexpr (P::has_high) {
        code =
            vorrq_u8(code, code_bits<P::stored.high_bits, k, low>(at(b, P::highs_at) + 16 * half));
      }
      if constexpr (P::has_table) {
        quad.val[half] = vqtbl1q_s8(vld1q_s8(P::stored.table), code);
      } else {
        quad.val[half] = vreinterpretq_s8_u8(code);
      }
    }
    return quad;
  }

  // Of a part of block b. Products of nested scales are exact: 11 bits times 8 at most.
  float32x4x2_t scale(std::size_t b, std::size_t part) const {
    if constexpr (P::shares_bytes) {
      return product(load_half8(super(b)), vand_u8(bytes_of(b, part), vdup_n_u8(15)));
    } else if constexpr (P::is_nested) {
      return product(load_half8(super(b)), vreinterpret_s8_u8(bytes_of(b, part)));
    } else if constexpr (P::stored.scales == Scales::bf16) {
      return load_bf16x8(at(b, P::scales_at));
    } else {
      return load_half8(at(b, P::scales_at));
    }
  }

  float32x4x2_t min(std::size_t b, std::size_t part) const {
    if constexpr (!P::is_nested) {
      return load_half8(at(b, P::mins_at));
    } else {
      const float32x4x2_t unit = load_half8(super(b) + 2 * kTileRows);
      if constexpr (P::shares_bytes) return product(unit, vshr_n_u8(bytes_of(b, part), 4));
      return product(unit, load8(at(b, P::mins_at)));
    }
  }

 private:
  const std::byte* at(std::size_t b, std::size_t place) const {
    return blocks + (b * P::block_bytes + place) * kTileRows;
  }
  const std::byte* super(std::size_t b) const {
    return supers + b / kBlocksOfSuper * P::super_bytes * kTileRows;
  }
  uint8x8_t bytes_of(std::size_t b, std::size_t part) const {
    return load8(at(b, P::scales_at + part));
  }
  static uint8x8_t load8(const std::byte* p) {
    return vld1_u8(reinterpret_cast<const std::uint8_t*>(p));
  }
  static float32x4x2_t product(float32x4x2_t unit, int8x8_t small) {
    const int16x8_t wide = vmovl_s8(small);
    return {{vmulq_f32(unit.val[0], vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)))),
             vmulq_f32(unit.val[1], vcvtq_f32_s32(vmovl_high_s16(wide)))}};
  }
  // Numbers below 128.
  static float32x4x2_t product(float32x4x2_t unit, uint8x8_t small) {
    return product(unit, vreinterpret_s8_u8(small));
  }
};

// The same, their quads brought to bytes before: eight vectors a block, in order.
template <PackedKind kind>
struct ExpandedBlocks : TileBlocks<kind> {
  const std::byte* quants;

  template <int k>
  Quad quad(std::size_t b) const {
    return load_quad(quants + (8 * b + k) * kVector);
  }
};

// All eight quads of block b.
template <class Weights>
inline void unpack(const Weights& w, std::size_t b, Quad (&quad)[8]) {
  each<8>([&](auto k) { quad[k] = w.template quad<decltype(k)::value>(b); });
}

}  // namespace
}  // namespace ggmlkit::neon
