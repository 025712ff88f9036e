// Packers of the types whose blocks have 32 elements, one scale and perhaps a minimum.
#pragma once

#include "kernels/layouts/packed_tiles.h"

namespace ggmlkit {
namespace {

template <class S>
constexpr PackedKind packed_kind() {
  if (S::bits == 8) return PackedKind::byte;
  if (S::bits == 5) return S::has_min ? PackedKind::five_min : PackedKind::five;
  return S::has_min ? PackedKind::nibble_min : PackedKind::nibble;
}

// One block of one row, with its scale and minimum.
template <class S, std::size_t R>
inline void pack_lane(const std::byte* src, std::byte* block, std::size_t row) {
  constexpr PackedKind kind = packed_kind<S>();
  using P = Packed<kind>;
  Q4_0::store_scale(block + P::scales_at * R + 2 * row, S::load_scale(src));
  if constexpr (P::has_min) {
    Q4_0::store_scale(block + P::mins_at * R + 2 * row, S::load_scale(src + S::scale_bytes));
  }
  int q[S::size];
  std::uint8_t codes[S::size];
  unpack_block<S>(src, q);
  for (int j = 0; j < S::size; ++j) codes[j] = static_cast<std::uint8_t>(q[j]);
  place_codes<kind, R>(codes, block, row);
}

// Rows are packed in file order, often just before they are used: while one tile is packed, the
// bytes of the next are prefetched, evenly over the blocks; into the first-level cache
// with locality 3, into the second with 2.
template <int locality>
inline void prefetch_next(const std::byte* next, std::size_t step, std::size_t b) {
  for (std::size_t line = 0; line < step; line += 64) {
    __builtin_prefetch(next + b * step + line, 0, locality);
  }
}

// TypeKernels::pack for any layout of 32-element blocks.
template <class S, std::size_t R>
void pack_rows(const std::byte* src, std::size_t row_bytes, std::size_t rows, std::size_t cols,
               std::byte* tile) {
  static_assert(S::size == kBlock);
  constexpr std::size_t block_bytes = Packed<packed_kind<S>()>::block_bytes * R;
  const std::size_t blocks = cols / kBlock;
  if (rows < R) std::memset(tile, 0, tile_layout<packed_kind<S>()>(R, blocks).bytes);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t b = 0; b < blocks; ++b) {
      pack_lane<S, R>(src + r * row_bytes + b * S::bytes, tile + b * block_bytes, r);
    }
  }
}

// The packers of types whose packed tile holds their blocks as they are, for tiles of R rows:
// today's and the legacy ones.
template <std::size_t R>
void fill_pack_rows(KernelTable& table) {
  table.tile_rows = R;
  const auto pack = [&table](Type type) -> auto& {
    return table.types[static_cast<std::size_t>(type)].pack;
  };
  pack(Type::q4_0) = pack_rows<Q4_0, R>;
  pack(Type::q4_1) = pack_rows<Q4_1, R>;
  pack(Type::q5_0) = pack_rows<Q5_0, R>;
  pack(Type::q5_1) = pack_rows<Q5_1, R>;
  pack(Type::q8_0) = pack_rows<Q8_0, R>;
  pack(Type::q4_0_v2) = pack_rows<Q4_0V2, R>;
  pack(Type::q4_1_v2) = pack_rows<Q4_1V2, R>;
  pack(Type::q8_0_v2) = pack_rows<Q8_0V2, R>;
  pack(Type::q4_0_v1) = pack_rows<Q4_0V1, R>;
  pack(Type::q4_1_v1) = pack_rows<Q4_1V1, R>;
  pack(Type::q5_0_v1) = pack_rows<Q5_0V1, R>;
  pack(Type::q5_1_v1) = pack_rows<Q5_1V1, R>;
}

}  // namespace
}  // namespace ggmlkit
