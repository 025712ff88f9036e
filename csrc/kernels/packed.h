// Packed tiles: R weight rows (8 or 16, as the instruction set likes) interleaved so that a vector
// of 4·R bytes holds four consecutive weights of each row, which meet the same four activations,
// broadcast.
//
// A tile of rows of `blocks` blocks is four areas, each dense over the blocks and the whole padded
// to 64 bytes, so that every vector of quants is aligned:
//   quants   a block of nibble kinds: 4 vectors, byte p of vector v = quad v (low nibble) and
//            quad v + 4 (high nibble); of the byte kinds: 8 vectors, vector k = quad k
//   highs    five-bit kinds, one vector a block: bit k of byte p is bit 4 of quad k's byte p
//   scales   R × float16 a block, one a row; two times that for byte16, quads 0 … 3 first
//   mins     R × float16 a block (kinds with a minimum)
// where byte p of quad k is column 4k + p % 4 of row p / 4.
#pragma once

#include <cstddef>

#include "kernels/blocks.h"
#include "kernels/kernel_table.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// What a kind stores, whatever the number of rows and blocks.
template <PackedKind kind>
struct Packed {
  static constexpr bool has_min = kind == PackedKind::nibble_min || kind == PackedKind::five_min;
  static constexpr bool has_high = kind == PackedKind::five || kind == PackedKind::five_min;
  static constexpr bool is_byte = kind == PackedKind::byte || kind == PackedKind::byte16;
  static constexpr std::size_t parts = kind == PackedKind::byte16 ? 2 : 1;  // scales a block
  // Subtracted from the stored value.
  static constexpr int offset = kind == PackedKind::nibble ? 8 : kind == PackedKind::five ? 16 : 0;
  static constexpr std::size_t vectors = is_byte ? 8 : 4;  // of quants, a block
};

// The activations from token `first` on, the first of a panel.
inline ActivationView panel_at(ActivationView x, std::size_t first) {
  const std::size_t blocks = x.cols / kBlock;
  x.q += first * x.cols;
  x.scale += first * blocks;
  x.sum += first * blocks;
  x.start += first * blocks;
  return x;
}

// A panel of `width` from block b on.
inline ActivationView block_at(ActivationView x, std::size_t b, std::size_t width) {
  x.q += b * kBlock * width;
  x.scale += b * width;
  x.sum += b * width;
  x.start += b * width;
  return x;
}

// Where the areas of one tile begin.
struct TileLayout {
  std::size_t highs_at;
  std::size_t scales_at;
  std::size_t mins_at;
  std::size_t bytes;
};

template <PackedKind kind>
constexpr TileLayout tile_layout(std::size_t tile_rows, std::size_t blocks) {
  using P = Packed<kind>;
  const std::size_t vector = 4 * tile_rows;
  const std::size_t highs = blocks * P::vectors * vector;
  const std::size_t scales = highs + (P::has_high ? blocks * vector : 0);
  const std::size_t mins = scales + blocks * P::parts * 2 * tile_rows;
  const std::size_t end = mins + (P::has_min ? blocks * 2 * tile_rows : 0);
  return {highs, scales, mins, (end + 63) / 64 * 64};
}

template <class S>
constexpr PackedKind packed_kind() {
  if (S::bits == 8) return PackedKind::byte;
  if (S::bits == 5) return S::has_min ? PackedKind::five_min : PackedKind::five;
  return S::has_min ? PackedKind::nibble_min : PackedKind::nibble;
}

// The integers of one block of one row into their lanes of block `b` of a tile of R rows.
template <PackedKind kind, std::size_t R>
inline void place_block(const int* q, std::byte* tile, const TileLayout& at, std::size_t b,
                        std::size_t row) {
  using P = Packed<kind>;
  constexpr std::size_t vector = 4 * R;
  auto* quants = reinterpret_cast<std::uint8_t*>(tile) + b * P::vectors * vector + row * 4;
  for (std::size_t c = 0; c < 4; ++c) {
    unsigned highs = 0;
    for (std::size_t k = 0; k < 8; ++k)
      highs |= static_cast<unsigned>((q[4 * k + c] >> 4) & 1) << k;
    if constexpr (P::has_high) {
      tile[at.highs_at + b * vector + row * 4 + c] = static_cast<std::byte>(highs);
    }
    for (std::size_t v = 0; v < P::vectors; ++v) {
      const int low = q[4 * v + c];
      const int high = P::is_byte ? 0 : q[4 * (v + 4) + c];
      quants[v * vector + c] =
          static_cast<std::uint8_t>(P::is_byte ? low : (low & 15) | ((high & 15) << 4));
    }
  }
}

// One block of one row, with its scale and minimum.
template <class S, std::size_t R>
inline void pack_lane(const std::byte* src, std::byte* tile, const TileLayout& at, std::size_t b,
                      std::size_t row) {
  constexpr PackedKind kind = packed_kind<S>();
  Q4_0::store_scale(tile + at.scales_at + 2 * (b * R + row), S::load_scale(src));
  if constexpr (Packed<kind>::has_min) {
    Q4_0::store_scale(tile + at.mins_at + 2 * (b * R + row), S::load_scale(src + S::scale_bytes));
  }
  int q[S::size];
  unpack_block<S>(src, q);
  place_block<kind, R>(q, tile, at, b, row);
}

// TypeKernels::pack for any layout of 32-element blocks.
template <class S, std::size_t R>
void pack_rows(const std::byte* src, std::size_t row_bytes, std::size_t rows, std::size_t cols,
               std::byte* tile) {
  static_assert(S::size == kBlock);
  const std::size_t blocks = cols / kBlock;
  const TileLayout at = tile_layout<packed_kind<S>()>(R, blocks);
  if (rows < R) std::memset(tile, 0, at.bytes);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t b = 0; b < blocks; ++b) {
      pack_lane<S, R>(src + r * row_bytes + b * S::bytes, tile, at, b, r);
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

// The kind a type packs to; PackedKind::count where it has no packed form.
PackedKind packed_kind_of(Type type);
// Bytes of one tile.
std::size_t tile_bytes(PackedKind kind, std::size_t tile_rows, std::size_t cols);

}  // namespace ggmlkit
