// Rows of q4_0 or iq4_nl that lie interleaved in files of 2024
// (python/ggmlkit/io/gguf/interleaved.py has the layouts).
#pragma once

#include <cstddef>
#include <cstdint>

namespace ggmlkit {

struct InterleavedLayout {
  std::size_t rows;      // of a group: 4 or 8
  std::size_t piece;     // bytes of a row's nibbles that lie together: 4 or 8
  std::uint8_t flipped;  // bits of each nibble byte that are stored the other way round
  bool swapped;          // whether scales are in the other byte order
};

constexpr std::size_t kNibbleBlockBytes = 18;  // a float16 scale and 16 bytes of nibbles

// Whether there are such layouts.
bool is_interleaving(const InterleavedLayout& layout);

// Groups of rows of `blocks` blocks each, as stored, to rows in order.
void put_in_row_order(const InterleavedLayout& layout, const std::byte* src, std::byte* dst,
                      std::size_t groups, std::size_t blocks);

}  // namespace ggmlkit
