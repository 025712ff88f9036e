// Values within block bytes, which nothing aligns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/convert.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

template <class T>
inline T load_at(const void* p, std::size_t i = 0) {
  T value;
  std::memcpy(&value, static_cast<const std::byte*>(p) + i * sizeof(T), sizeof(T));
  return value;
}

template <class T>
inline void store_at(void* p, T value) {
  std::memcpy(p, &value, sizeof(T));
}

inline float half_at(const void* p) { return half_to_float(load_at<std::uint16_t>(p)); }

inline void store_half(void* p, float value) { store_at(p, float_to_half(value)); }

// Block `i` of a run of them.
template <class Block>
inline const Block& block_at(const std::byte* p, std::size_t i) {
  static_assert(alignof(Block) == 1);
  return *(reinterpret_cast<const Block*>(p) + i);
}

template <class Block>
inline Block& block_at(std::byte* p, std::size_t i) {
  static_assert(alignof(Block) == 1);
  return *(reinterpret_cast<Block*>(p) + i);
}

}  // namespace
}  // namespace ggmlkit
