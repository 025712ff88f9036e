// Packers of k-quants, codebook types and q2_0: codes and scales as they are in the file, moved.
#pragma once

#include "kernels/layouts/k_blocks.h"
#include "kernels/layouts/packed_tiles.h"
#include "kernels/layouts/ternary_blocks.h"

namespace ggmlkit {
namespace {

// Where block b of a tile of R rows has what belongs to one row.
template <PackedKind kind, std::size_t R>
struct Lane {
  using P = Packed<kind>;

  std::byte* tile;
  TileLayout at;
  std::size_t row;

  std::byte* words(std::size_t b) const { return tile + b * P::block_bytes * R; }
  std::byte* high_words(std::size_t b) const { return words(b) + P::highs_at * R; }
  std::byte* scale(std::size_t b, std::size_t part) const {
    constexpr std::size_t bytes = P::is_nested ? 1 : 2;
    return words(b) + P::scales_at * R + (part * R + row) * bytes;
  }
  std::byte* min(std::size_t b) const { return words(b) + P::mins_at * R + row; }
  // Of the eight blocks from b on.
  std::byte* super(std::size_t b) const {
    return tile + at.supers_at + b / kBlocksOfSuper * P::super_bytes * R + 2 * row;
  }
  std::byte* super_min(std::size_t b) const { return super(b) + 2 * R; }
};

// ---------------------------------------------------------------- codes

// A row's words of a block of 32.
struct Words {
  std::uint8_t low[16];
  std::uint8_t high[8];
};

// Words of the g-th 32 elements of a plane that the file packs in runs of Run bytes (planes.h),
// eight elements at a time: each byte takes its part of 8 / n elements 4n apart.
template <int n, int Run>
inline void plane_words(const std::uint8_t* plane, int g, std::uint8_t* words) {
  constexpr int chunk = 8 / n * Run;  // elements that share a run
  const int within = 32 * g % chunk;
  const std::uint8_t* from = plane + 32 * g / chunk * Run + within % Run;
  const int shift = within / Run * n;
  constexpr std::uint64_t mask = 0x0101010101010101u * ((1u << n) - 1u);
  std::uint64_t x[4];
  for (std::size_t i = 0; i < 4; ++i) x[i] = (load_at<std::uint64_t>(from, i) >> shift) & mask;
  if constexpr (n == 4) {
    store_at(words, x[0] | x[2] << 4);
    store_at(words + 8, x[1] | x[3] << 4);
  } else {
    const std::uint64_t eight = x[0] | x[1] << 2 | x[2] << 4 | x[3] << 6;
    if constexpr (n == 2) store_at(words, eight);
    if constexpr (n == 1) store_at(words, static_cast<std::uint32_t>(eight | eight >> 31));
  }
}

inline Words words_of(const Q2K& block, int g) {
  Words w;
  plane_words<2, 32>(block.quants, g, w.low);
  return w;
}
inline Words words_of(const Q3K& block, int g) {
  Words w;
  plane_words<2, 32>(block.quants, g, w.low);
  plane_words<1, 32>(block.high, g, w.high);
  return w;
}
inline Words words_of(const Q4K& block, int g) {
  Words w;
  plane_words<4, 32>(block.quants, g, w.low);
  return w;
}
inline Words words_of(const Q5K& block, int g) {
  Words w;
  plane_words<4, 32>(block.quants, g, w.low);
  plane_words<1, 32>(block.high, g, w.high);
  return w;
}
inline Words words_of(const Q6K& block, int g) {
  Words w;
  plane_words<4, 64>(block.quants, g, w.low);
  plane_words<2, 32>(block.high, g, w.high);
  return w;
}
// Neighbours share a byte in the file, elements eight apart in a word: of the five binary digits of
// a code's place, (4 3 2 1 0) becomes (2 1 0 4 3). Each step exchanges two.
inline Words words_of(const Q2_0& block, int g) {
  auto x = load_at<std::uint64_t>(block.quants, static_cast<std::size_t>(g));
  const auto exchange = [&x](std::uint64_t mask, int distance) {
    const std::uint64_t t = (x ^ (x >> distance)) & mask;
    x ^= t ^ (t << distance);
  };
  // Masks pick the lower of each pair of codes whose places differ in the two digits.
  exchange(0x0c0c0c0c0c0c0c0cu, 2);   // digits 1 and 0: (4 3 2 0 1)
  exchange(0x00f000f000f000f0u, 4);   // digits 2 and 1: (4 3 0 2 1)
  exchange(0x0000cccc0000ccccu, 14);  // digits 3 and 0: (4 1 0 2 3)
  exchange(0x00000000f0f0f0f0u, 28);  // digits 4 and 1: (2 1 0 4 3)
  Words w;
  store_at(w.low, x);
  return w;
}
// Codebook types have them in the file.
template <class B>
inline Words words_of(const B& block, int g) {
  static_assert(B::run == 16);
  Words w;
  std::memcpy(w.low, block.quants + 16 * g, sizeof w.low);
  return w;
}

template <class B, PackedKind kind, std::size_t R>
inline void place_quants(const B& block, const Lane<kind, R>& lane, std::size_t b) {
  using P = Packed<kind>;
  for (std::size_t i = 0; i < B::size / kBlock; ++i) {
    const Words w = words_of(block, static_cast<int>(i));
    place_words<R>(w.low, P::vectors, lane.words(b + i), lane.row);
    place_words<R>(w.high, P::high_vectors, lane.high_words(b + i), lane.row);
  }
}

// ---------------------------------------------------------------- scales

// The small integers of the groups of 256 elements.
struct SmallScales {
  std::uint8_t scale[kSuper / 16];
  std::uint8_t min[kSuper / 32];
};

inline SmallScales small_scales(const Q2K& block) {
  SmallScales s;
  std::memcpy(s.scale, block.scales, sizeof s.scale);
  return s;
}
inline SmallScales small_scales(const Q3K& block) {
  SmallScales s;
  int integers[16];
  block.unpack_integer_scales(integers);
  for (int g = 0; g < 16; ++g) s.scale[g] = static_cast<std::uint8_t>(integers[g]);
  return s;
}
inline SmallScales small_scales(const SixBitPairs& pairs) {
  SmallScales s;
  for (int g = 0; g < 8; ++g) {
    s.scale[g] = static_cast<std::uint8_t>(pairs.scale(g));
    s.min[g] = static_cast<std::uint8_t>(pairs.min(g));
  }
  return s;
}
inline SmallScales small_scales(const Q4K& block) { return small_scales(block.scales); }
inline SmallScales small_scales(const Q5K& block) { return small_scales(block.scales); }
inline SmallScales small_scales(const Q6K& block) {
  SmallScales s;
  std::memcpy(s.scale, block.scales, sizeof s.scale);
  return s;
}
inline SmallScales small_scales(const Iq4Xs& block) {
  SmallScales s;
  for (int g = 0; g < 8; ++g) s.scale[g] = static_cast<std::uint8_t>(block.integer_scale(g));
  return s;
}

template <class B, PackedKind kind, std::size_t R>
inline void place_scales(const B& block, const Lane<kind, R>& lane, std::size_t b) {
  using P = Packed<kind>;
  const SmallScales s = small_scales(block);
  for (std::size_t i = 0; i < kBlocksOfSuper; ++i) {
    for (std::size_t p = 0; p < P::parts; ++p)
      store_at(lane.scale(b + i, p), s.scale[i * P::parts + p]);
    if constexpr (P::min_bytes != 0) store_at(lane.min(b + i), s.min[i]);
  }
  std::memcpy(lane.super(b), block.d, 2);
  if constexpr (P::has_min) {
    constexpr std::uint16_t sign = 0x8000;  // what is taken off becomes what is added
    const auto min = load_at<std::uint16_t>(block.dmin);
    store_at(lane.super_min(b), static_cast<std::uint16_t>(min ^ sign));
  }
}
template <PackedKind kind, std::size_t R>
inline void place_scales(const Iq4Nl& block, const Lane<kind, R>& lane, std::size_t b) {
  std::memcpy(lane.scale(b, 0), block.d, 2);
}
template <PackedKind kind, std::size_t R>
inline void place_scales(const Q2_0& block, const Lane<kind, R>& lane, std::size_t b) {
  for (std::size_t i = 0; i < Q2_0::size / kBlock; ++i) {
    std::memcpy(lane.scale(b + i, 0), block.d, 2);
  }
}
// A power of two is its sign and exponent, the upper half of a float; the two smallest are
// subnormal and have their bit there too.
template <PackedKind kind, std::size_t R>
inline void place_scales(const Mxfp4& block, const Lane<kind, R>& lane, std::size_t b) {
  const std::uint32_t bits = float_bits(half_of_e8m0(block.exponent));
  store_at(lane.scale(b, 0), static_cast<std::uint16_t>(bits >> 16));
}

// ---------------------------------------------------------------- tiles

// TypeKernels::pack, a block of all rows at a time, so that what is written together lies together.
template <class B, PackedKind kind, std::size_t R>
void pack_groups(const std::byte* src, std::size_t row_bytes, std::size_t rows, std::size_t cols,
                 std::byte* tile) {
  constexpr std::size_t within = B::size / kBlock;  // blocks of the tile in one of the file
  const TileLayout at = tile_layout<kind>(R, cols / kBlock);
  if (rows < R) std::memset(tile, 0, at.bytes);
  for (std::size_t i = 0; i < cols / B::size; ++i) {
    for (std::size_t r = 0; r < rows; ++r) {
      const B& block = block_at<B>(src + r * row_bytes, i);
      const Lane<kind, R> lane{tile, at, r};
      place_quants(block, lane, i * within);
      place_scales(block, lane, i * within);
    }
  }
}

template <std::size_t R>
void fill_pack_groups(KernelTable& table) {
  const auto pack = [&table](Type type) -> auto& {
    return table.types[static_cast<std::size_t>(type)].pack;
  };
  pack(Type::q2_K) = pack_groups<Q2K, PackedKind::q2_K, R>;
  pack(Type::q3_K) = pack_groups<Q3K, PackedKind::q3_K, R>;
  pack(Type::q4_K) = pack_groups<Q4K, PackedKind::q4_K, R>;
  pack(Type::q5_K) = pack_groups<Q5K, PackedKind::q5_K, R>;
  pack(Type::q6_K) = pack_groups<Q6K, PackedKind::q6_K, R>;
  pack(Type::iq4_nl) = pack_groups<Iq4Nl, PackedKind::iq4_nl, R>;
  pack(Type::iq4_xs) = pack_groups<Iq4Xs, PackedKind::iq4_xs, R>;
  pack(Type::mxfp4) = pack_groups<Mxfp4, PackedKind::mxfp4, R>;
  pack(Type::q2_0) = pack_groups<Q2_0, PackedKind::q2_0, R>;
}

}  // namespace
}  // namespace ggmlkit
