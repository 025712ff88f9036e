// Groups of cached positions: where a key or value of one head lies within the kKvGroup positions
// that are kept together.
//
//   f16    keys    [head_dim][kKvGroup] float16
//          values  [kKvGroup][head_dim] float16
//   q8_0   keys    [head_dim][kKvGroup] int8, then scales
//          values  [kKvGroup][head_dim] int8, then scales
//          scales  [blocks][kKvGroup] float16, one for 32 elements of a position
//
// Keys are transposed, so that a vector holds the same element of many positions and a score needs
// no sum across its lanes; a value is added to the output as it lies.
#pragma once

#include <cstddef>

#include "kernels/kernel_table.h"
#include "kernels/layouts/blocks.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

constexpr std::size_t kv_blocks(std::size_t d) { return (d + kBlock - 1) / kBlock; }

constexpr std::size_t kv_group_bytes(KvType type, std::size_t d) {
  return type == KvType::f16 ? kKvGroup * d * 2 : kKvGroup * (d + kv_blocks(d) * 2);
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

// The scale of block b of position p (q8_0).
constexpr std::size_t kv_scale_at(std::size_t p, std::size_t b, std::size_t d) {
  return kKvGroup * d + 2 * (b * kKvGroup + p);
}

}  // namespace
}  // namespace ggmlkit
