// Packed tiles: R weight rows (8 or 16, as the instruction set likes) interleaved so that a vector
// of 4·R bytes holds four consecutive weights of each row, a quad, which is multiplied with the
// same four activations, broadcast. Byte p of quad k is column 4k + p % 4 of row p / 4.
//
// A tile is its blocks one after the other, each with all that a product needs of it, so that a
// pass over the weights is one stream of memory:
//   quants   codes, or their low bits where `highs` has the others. Of n bits a code, a block takes
//            n vectors: quad k is in vector k % n, at bit n · (k / n) of each byte. So a row's part
//            of a block is its 32 codes as planes.h packs them in a run of 4n bytes, word by word
//   highs    the upper bits of codes, likewise
//   scales   R × float16 (or bfloat16), one a row; of nested kinds R × int8 a part: half a block or
//            a whole one
//   mins     where a kind has a minimum, the same for it; but a byte of q2_K's `scales` holds both,
//            the scale in its low nibble
// Behind the last block nested kinds have for each eight blocks
//   supers   R × float16 that their scales count in, and where there are minima R × float16 for
//            these, negative
// The whole is padded to 64 bytes.
#pragma once

#include <cstddef>

#include "kernels/kernel_table.h"
#include "kernels/layouts/blocks.h"
#include "kernels/layouts/codebooks.h"
#include "kernels/layouts/planes.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

enum class Scales { f16, bf16, nested };

// What a kind stores. A weight is scale · (code - offset), or scale · table[code], or with a
// minimum scale · code + minimum.
struct Kind {
  int low_bits;
  int high_bits;
  int offset;
  int parts;  // of a block that have a scale of their own
  bool has_min;
  Scales scales;
  const std::int8_t* table;
};

constexpr Kind kKinds[kPackedKinds] = {
    {4, 0, 8, 1, false, Scales::f16, nullptr},           // nibble
    {4, 0, 0, 1, true, Scales::f16, nullptr},            // nibble_min
    {4, 1, 16, 1, false, Scales::f16, nullptr},          // five
    {4, 1, 0, 1, true, Scales::f16, nullptr},            // five_min
    {8, 0, 0, 1, false, Scales::f16, nullptr},           // byte, signed
    {2, 0, 0, 2, true, Scales::nested, nullptr},         // q2_K
    {2, 1, 4, 2, false, Scales::nested, nullptr},        // q3_K
    {4, 0, 0, 1, true, Scales::nested, nullptr},         // q4_K
    {4, 1, 0, 1, true, Scales::nested, nullptr},         // q5_K
    {4, 2, 32, 2, false, Scales::nested, nullptr},       // q6_K
    {4, 0, 0, 1, false, Scales::f16, kNormalValues},     // iq4_nl
    {4, 0, 0, 1, false, Scales::nested, kNormalValues},  // iq4_xs
    {4, 0, 0, 1, false, Scales::bf16, kE2M1Values},      // mxfp4, whose scales float16 lacks
    {2, 0, 1, 1, false, Scales::f16, nullptr},           // q2_0
};

constexpr std::size_t kBlocksOfSuper = 8;

// The same for code that is compiled for one kind, and the bytes that one row takes: times R, they
// are a tile's.
template <PackedKind kind>
struct Packed {
  static constexpr const Kind& stored = kKinds[static_cast<std::size_t>(kind)];
  static constexpr bool has_min = stored.has_min;
  static constexpr bool has_high = stored.high_bits != 0;
  static constexpr bool is_byte = stored.low_bits == 8;
  static constexpr bool is_nested = stored.scales == Scales::nested;
  static constexpr bool has_table = stored.table != nullptr;
  // Whether values need all eight bits of a signed byte.
  static constexpr bool fills_bytes = is_byte || stored.table == kNormalValues;
  static constexpr int offset = stored.offset;
  static constexpr std::size_t parts = static_cast<std::size_t>(stored.parts);
  static constexpr bool shares_bytes = is_nested && has_min && parts == 2;
  static constexpr std::size_t vectors = static_cast<std::size_t>(stored.low_bits);  // a block
  static constexpr std::size_t high_vectors = static_cast<std::size_t>(stored.high_bits);
  static constexpr std::size_t scale_bytes = is_nested ? parts : 2;  // a block
  static constexpr std::size_t min_bytes = !has_min || shares_bytes ? 0 : is_nested ? 1 : 2;
  static constexpr std::size_t super_bytes = !is_nested ? 0 : has_min ? 4 : 2;  // eight blocks

  // Where a block has what, and how long it is.
  static constexpr std::size_t highs_at = 4 * vectors;
  static constexpr std::size_t scales_at = highs_at + 4 * high_vectors;
  static constexpr std::size_t mins_at = scales_at + scale_bytes;
  static constexpr std::size_t block_bytes = mins_at + min_bytes;
};

// The activations from token `first` on, the first of a panel.
inline ActivationView panel_at(ActivationView x, std::size_t first) {
  x.q += first * x.room * kBlock;
  x.scale += first * x.room;
  x.sum += first * x.room;
  x.start += first * x.room;
  x.first += first * x.room;
  x.blocks += first * x.room;
  x.counts += first;
  return x;
}

// A panel of `width` from quantized block i on.
inline ActivationView block_at(ActivationView x, std::size_t i, std::size_t width) {
  x.q += i * kBlock * width;
  x.scale += i * width;
  x.sum += i * width;
  x.start += i * width;
  x.first += i * width;
  x.blocks += i;
  return x;
}

// The first of a panel's quantized blocks that is part of block b or of a later one.
inline std::size_t quantized_from(const ActivationView& panel, std::size_t b) {
  const std::size_t count = *panel.counts;
  std::size_t i = b;
  while (i < count && panel.blocks[i] < b) ++i;
  return i;
}

// A panel from slot s on.
inline ActivationView slot_at(ActivationView x, std::size_t s) {
  x.q += 4 * s;
  x.scale += s;
  x.sum += s;
  x.start += s;
  x.first += s;
  return x;
}

// Of activations' q over a part of a block: value i of a panel's sums.
template <std::size_t parts>
inline std::int32_t part_sum(const ActivationView& x, std::size_t i, std::size_t part) {
  if constexpr (parts == 1) return x.sum[i];
  const std::int32_t halves = x.first[i];
  const std::int32_t first = (static_cast<std::int16_t>(halves & 0xffff) + (halves >> 16)) / -8;
  return part == 0 ? first : x.sum[i] - first;
}

// Where the supers of one tile begin, and where the next tile does.
struct TileLayout {
  std::size_t supers_at;
  std::size_t bytes;
};

template <PackedKind kind>
constexpr TileLayout tile_layout(std::size_t tile_rows, std::size_t blocks) {
  using P = Packed<kind>;
  const std::size_t supers = blocks * P::block_bytes * tile_rows;
  const std::size_t end = supers + blocks / kBlocksOfSuper * P::super_bytes * tile_rows;
  return {supers, (end + 63) / 64 * 64};
}

// Where the low bits of quad k lie among the vectors of a block of n bits a code.
constexpr int vector_of(int n, int k) { return k % n; }
constexpr int bit_of(int n, int k) { return n * (k / n); }

// One row's `n` words of a block, to vectors of a tile of R rows.
template <std::size_t R>
inline void place_words(const std::uint8_t* words, std::size_t n, std::byte* vectors,
                        std::size_t row) {
  for (std::size_t v = 0; v < n; ++v) std::memcpy(vectors + 4 * (v * R + row), words + 4 * v, 4);
}

// A row's 32 codes of a block.
template <PackedKind kind, std::size_t R>
inline void place_codes(const std::uint8_t* codes, std::byte* block, std::size_t row) {
  using P = Packed<kind>;
  constexpr int low = P::stored.low_bits;
  constexpr int high = P::stored.high_bits;
  std::uint8_t words[kBlock];
  pack_planes<low, 4 * low, kBlock>(codes, words);
  place_words<R>(words, P::vectors, block, row);
  if constexpr (P::has_high) {
    std::uint8_t upper[kBlock];
    for (std::size_t j = 0; j < kBlock; ++j) upper[j] = static_cast<std::uint8_t>(codes[j] >> low);
    pack_planes<high, 4 * high, kBlock>(upper, words);
    place_words<R>(words, P::high_vectors, block + P::highs_at * R, row);
  }
}

}  // namespace

// The kind a type packs to; PackedKind::count where it has no packed form.
PackedKind packed_kind_of(Type type);
// Bytes of one tile.
std::size_t tile_bytes(PackedKind kind, std::size_t tile_rows, std::size_t cols);

}  // namespace ggmlkit
