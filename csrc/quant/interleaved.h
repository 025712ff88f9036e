// Interleaved rows of q4_0 or iq4_nl in files from 2024 (python/ggmlkit/io/interleaved.py has the
// layouts).
#pragma once

#include <cstddef>
#include <cstdint>

namespace ggmlkit {

struct InterleavedLayout {
  std::size_t rows;      // of a group: 4 or 8
  std::size_t piece;     // consecutive nibble bytes of one row: 4 or 8
  std::uint8_t flipped;  // mask of the bits of each nibble byte that are inverted
  bool swapped;          // whether scales are in the other byte order
};

constexpr std::size_t kNibbleBlockBytes = 18;  // a float16 scale and 16 bytes of nibbles

// Whether such a layout exists.
bool is_interleaving(const InterleavedLayout& layout);

// Converts stored groups of rows, `blocks` blocks each, to rows in order.
void put_in_row_order(const InterleavedLayout& layout, const std::byte* src, std::byte* dst,
                      std::size_t groups, std::size_t blocks);

}  // namespace ggmlkit
