// Groups of cached positions: where a key or value of one head lies within the kKvGroup positions
// that are kept together.
//
//   f16    keys    [head_dim][kKvGroup] float16
//          values  [kKvGroup][head_dim] float16
//   q8_0   keys    [head_dim][kKvGroup] int8, then scales
//          values  [kKvGroup][head_dim] int8, then scales
//          scales  [blocks][kKvGroup] float16, one for 32 elements of a position
//   q4_0   keys    [blocks][16][kKvGroup] bytes, of two elements each, then scales
//          values  [kKvGroup][blocks][16] bytes, of two elements each, then scales
//          scales  as in q8_0
//
// Keys are transposed, so that a vector holds the same element of many positions and a score needs
// no sum across its lanes; a value is added to the output as it lies.
//
// Threads store positions of one group at the same time, so no byte belongs to two of them. Bytes
// of q4_0 hold two signed integers: of a key, elements 2i in the lower half and 2i + 1 in the
// upper; of a value, as in a block of weights, elements i and i + 16 of its block. Blocks are
// whole: elements beyond the head's are zeros.
#pragma once

#include <cstddef>

#include "kernels/kernel_table.h"
#include "kernels/layouts/blocks.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

constexpr std::size_t kv_blocks(std::size_t d) { return (d + kBlock - 1) / kBlock; }

// Of one position's elements, without their scales.
constexpr std::size_t kv_element_bytes(KvType type, std::size_t d) {
  return type == KvType::f16 ? 2 * d : type == KvType::q8_0 ? d : kv_blocks(d) * kBlock / 2;
}

constexpr std::size_t kv_group_bytes(KvType type, std::size_t d) {
  const std::size_t scales = type == KvType::f16 ? 0 : kv_blocks(d) * 2;
  return kKvGroup * (kv_element_bytes(type, d) + scales);
}

inline std::uint16_t load_u16(const std::byte* p) {
  std::uint16_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

inline void store_u16(std::byte* p, std::uint16_t value) { std::memcpy(p, &value, sizeof value); }

// Element j of the group's position p, in units of the element.
constexpr std::size_t key_at(std::size_t p, std::size_t j) { return j * kKvGroup + p; }
constexpr std::size_t value_at(std::size_t p, std::size_t j, std::size_t d) { return p * d + j; }

// The byte that holds element j of the group's position p (q4_0).
constexpr std::size_t key_byte_at(std::size_t p, std::size_t j) { return j / 2 * kKvGroup + p; }
constexpr std::size_t value_byte_at(std::size_t p, std::size_t j, std::size_t d) {
  return (p * kv_blocks(d) + j / kBlock) * (kBlock / 2) + j % (kBlock / 2);
}
constexpr bool value_is_upper(std::size_t j) { return j % kBlock >= kBlock / 2; }

// Both halves of such a byte, from -8 to 7 each.
constexpr std::byte two_levels(int lower, int upper) {
  return static_cast<std::byte>((lower & 15) | (upper & 15) << 4);
}
constexpr int level_of(std::byte two, bool upper) {
  const int half = static_cast<int>(two) >> (upper ? 4 : 0) & 15;
  return (half ^ 8) - 8;
}

// The scale of block b of position p (q8_0, q4_0).
constexpr std::size_t kv_scale_at(KvType type, std::size_t p, std::size_t b, std::size_t d) {
  return kKvGroup * kv_element_bytes(type, d) + 2 * (b * kKvGroup + p);
}

}  // namespace
}  // namespace ggmlkit
