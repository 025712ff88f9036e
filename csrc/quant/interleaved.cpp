#include "quant/interleaved.h"

#include <cstring>

namespace ggmlkit {
namespace {

constexpr std::size_t kNibbleBytes = 16;

void copy_scale(const std::byte* src, std::byte* dst, bool swapped) {
  dst[0] = src[swapped ? 1 : 0];
  dst[1] = src[swapped ? 0 : 1];
}

// Converts one block column of a group: the scales of all rows, then the first piece of each row's
// nibbles, the second of each, and so on. Block r goes to dst + r · step.
template <std::size_t rows, std::size_t piece>
void put_record(const std::byte* src, std::byte* dst, std::size_t step, std::uint64_t flipped,
                bool swapped) {
  for (std::size_t r = 0; r < rows; ++r) copy_scale(src + 2 * r, dst + r * step, swapped);
  src += 2 * rows;
  for (std::size_t at = 0; at < kNibbleBytes; at += piece) {
    for (std::size_t r = 0; r < rows; ++r, src += piece) {
      std::uint64_t nibbles = 0;
      std::memcpy(&nibbles, src, piece);
      nibbles ^= flipped;
      std::memcpy(dst + r * step + 2 + at, &nibbles, piece);
    }
  }
}

template <std::size_t rows, std::size_t piece>
void put_groups(const InterleavedLayout& layout, const std::byte* src, std::byte* dst,
                std::size_t groups, std::size_t blocks) {
  const std::uint64_t flipped = layout.flipped * 0x0101010101010101u;
  const std::size_t row_bytes = blocks * kNibbleBlockBytes;
  for (std::size_t g = 0; g < groups; ++g, dst += rows * row_bytes) {
    for (std::size_t b = 0; b < blocks; ++b, src += rows * kNibbleBlockBytes) {
      put_record<rows, piece>(src, dst + b * kNibbleBlockBytes, row_bytes, flipped, layout.swapped);
    }
  }
}

}  // namespace

bool is_interleaving(const InterleavedLayout& layout) {
  return (layout.rows == 4 || layout.rows == 8) && (layout.piece == 4 || layout.piece == 8);
}

void put_in_row_order(const InterleavedLayout& layout, const std::byte* src, std::byte* dst,
                      std::size_t groups, std::size_t blocks) {
  const auto put = layout.rows == 4 ? (layout.piece == 4 ? put_groups<4, 4> : put_groups<4, 8>)
                                    : (layout.piece == 4 ? put_groups<8, 4> : put_groups<8, 8>);
  put(layout, src, dst, groups, blocks);
}

}  // namespace ggmlkit
