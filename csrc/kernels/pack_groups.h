// Packers of k-quants and codebook types: blocks of 32 integers whose scales, which the file holds
// as products, are rounded to float16 (by 2^-12 of themselves at most). Integers stay exact.
#pragma once

#include "kernels/codebooks.h"
#include "kernels/k_blocks.h"
#include "kernels/packed.h"

namespace ggmlkit {
namespace {

// The 32-element blocks of one of the file's blocks: integers, and a scale and minimum for each of
// P::parts parts; value = scale · q + min.
struct Unpacked {
  int q[kSuper];
  float scale[kSuper / 16];
  float min[kSuper / 32];
};

template <class B>
void unpack(const B& block, Unpacked& u) {
  std::uint8_t q[kSuper];
  GroupScales<kGroups<B>> s;
  block.unpack(q);
  block.unpack_scales(s);
  for (int j = 0; j < kSuper; ++j) u.q[j] = q[j] - B::offset;
  for (int g = 0; g < kGroups<B>; ++g) {
    u.scale[g] = s.scale[g];
    if constexpr (B::has_min) u.min[g] = -s.min[g];
  }
}

// Two small integers, of a group and of an element, make one: -32 … 31 times -4 … 3 are bytes once
// their sign is turned, and the scale is the block's own.
inline void unpack(const Q3K& block, Unpacked& u) {
  std::uint8_t q[kSuper];
  int integers[16];
  block.unpack(q);
  block.unpack_integer_scales(integers);
  for (int j = 0; j < kSuper; ++j) u.q[j] = -integers[j / 16] * (q[j] - Q3K::offset);
  for (int g = 0; g < kSuper / 32; ++g) u.scale[g] = -half_at(block.d);
}

template <class B>
void unpack_codebook(const B& block, Unpacked& u) {
  std::uint8_t q[B::size];
  unpack_planes<4, B::run, B::size>(block.quants, q);
  block.unpack_scales(u.scale);
  for (int j = 0; j < B::size; ++j) u.q[j] = B::values[q[j]];
}
inline void unpack(const Iq4Nl& block, Unpacked& u) { unpack_codebook(block, u); }
inline void unpack(const Iq4Xs& block, Unpacked& u) { unpack_codebook(block, u); }
inline void unpack(const Mxfp4& block, Unpacked& u) { unpack_codebook(block, u); }

// TypeKernels::pack.
template <class B, PackedKind kind, std::size_t R>
void pack_groups(const std::byte* src, std::size_t row_bytes, std::size_t rows, std::size_t cols,
                 std::byte* tile) {
  using P = Packed<kind>;
  constexpr std::size_t within = B::size / kBlock;  // blocks of the tile in one of the file
  const std::size_t blocks = cols / kBlock;
  const TileLayout at = tile_layout<kind>(R, blocks);
  if (rows < R) std::memset(tile, 0, at.bytes);
  for (std::size_t r = 0; r < rows; ++r) {
    Unpacked u;
    for (std::size_t b = 0; b < blocks; ++b) {
      if (b % within == 0) unpack(block_at<B>(src + r * row_bytes, b / within), u);
      const std::size_t g = b % within;
      place_block<kind, R>(u.q + g * kBlock, tile, at, b, r);
      for (std::size_t p = 0; p < P::parts; ++p) {
        store_half(tile + at.scales_at + 2 * ((b * P::parts + p) * R + r),
                   u.scale[g * P::parts + p]);
      }
      if constexpr (P::has_min) store_half(tile + at.mins_at + 2 * (b * R + r), u.min[g]);
    }
  }
}

template <std::size_t R>
void fill_pack_groups(KernelTable& table) {
  const auto pack = [&table](Type type) -> auto& {
    return table.types[static_cast<std::size_t>(type)].pack;
  };
  pack(Type::q3_K) = pack_groups<Q3K, PackedKind::byte, R>;
  pack(Type::q4_K) = pack_groups<Q4K, PackedKind::nibble_min, R>;
  pack(Type::q5_K) = pack_groups<Q5K, PackedKind::five_min, R>;
  pack(Type::q6_K) = pack_groups<Q6K, PackedKind::byte16, R>;
  pack(Type::iq4_nl) = pack_groups<Iq4Nl, PackedKind::byte, R>;
  pack(Type::iq4_xs) = pack_groups<Iq4Xs, PackedKind::byte, R>;
  pack(Type::mxfp4) = pack_groups<Mxfp4, PackedKind::byte, R>;
}

}  // namespace
}  // namespace ggmlkit
