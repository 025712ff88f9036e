// Packed tiles: eight weight rows interleaved so that a 32-byte vector holds four consecutive
// weights of each row, which meet the same four activations, broadcast.
//
// A tile is cols/32 blocks. A block holds, in this order:
//   scales   8 × float16, one a row
//   mins     8 × float16 (kinds with a minimum only)
//   highs    32 bytes (five-bit kinds): bit k of byte p is bit 4 of quad k's byte p
//   quants   nibble kinds: 4 × 32 bytes, byte p of vector v = quad v (low), quad v+4 (high nibble)
//            byte kind: 8 × 32 bytes, vector k = quad k
// where byte p of quad k is column 4k + p % 4 of row p / 4.
#pragma once

#include <cstddef>

#include "kernels/kernel_table.h"

namespace ggmlkit {

struct PackedLayout {
  bool has_min;
  bool has_high;
  bool is_byte;
  int offset;  // subtracted from the stored unsigned value
  std::size_t mins_at;
  std::size_t highs_at;
  std::size_t quants_at;
  std::size_t block_bytes;
};

constexpr PackedLayout packed_layout(PackedKind kind) {
  const bool has_min = kind == PackedKind::nibble_min || kind == PackedKind::five_min;
  const bool has_high = kind == PackedKind::five || kind == PackedKind::five_min;
  const bool is_byte = kind == PackedKind::byte;
  const int offset = kind == PackedKind::nibble ? 8 : kind == PackedKind::five ? 16 : 0;
  const std::size_t highs = 2 * kTileRows * (has_min ? 2 : 1);
  const std::size_t quants = highs + (has_high ? 32 : 0);
  return {has_min,       has_high, is_byte, offset,
          2 * kTileRows, highs,    quants,  quants + (is_byte ? 8 : 4) * 32};
}

}  // namespace ggmlkit
