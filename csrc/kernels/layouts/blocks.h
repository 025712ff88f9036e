// Block codecs: how each layout stores its scale, minimum and integers. One template reads and
// writes them all; `Spec` says what differs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/convert.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

enum class Scale { f16, f32 };
enum class Order { halves, neighbours };  // byte j holds elements (j, j + half) or (2j, 2j + 1)

template <int Bits, bool Min, Scale S, Order O, int Size>
struct Spec {
  static constexpr int bits = Bits;
  static constexpr bool has_min = Min;
  static constexpr Order order = O;
  static constexpr int size = Size;
  static constexpr int offset = Min || Bits == 8 ? 0 : 1 << (Bits - 1);
  static constexpr int levels = (1 << Bits) - 1;
  static constexpr std::size_t scale_bytes = S == Scale::f16 ? 2 : 4;
  static constexpr std::size_t high_at = scale_bytes * (Min ? 2 : 1);
  static constexpr std::size_t quants_at = high_at + (Bits == 5 ? 4 : 0);
  static constexpr std::size_t bytes = quants_at + (Bits == 8 ? Size : Size / 2);

  static float load_scale(const std::byte* p) {
    if constexpr (S == Scale::f16) {
      std::uint16_t h;
      std::memcpy(&h, p, 2);
      return half_to_float(h);
    } else {
      float f;
      std::memcpy(&f, p, 4);
      return f;
    }
  }
  static void store_scale(std::byte* p, float value) {
    if constexpr (S == Scale::f16) {
      const std::uint16_t h = float_to_half(value);
      std::memcpy(p, &h, 2);
    } else {
      std::memcpy(p, &value, 4);
    }
  }
};

using Q4_0 = Spec<4, false, Scale::f16, Order::halves, 32>;
using Q4_1 = Spec<4, true, Scale::f16, Order::halves, 32>;
using Q5_0 = Spec<5, false, Scale::f16, Order::halves, 32>;
using Q5_1 = Spec<5, true, Scale::f16, Order::halves, 32>;
using Q8_0 = Spec<8, false, Scale::f16, Order::halves, 32>;
using Q4_0V2 = Spec<4, false, Scale::f32, Order::halves, 32>;
using Q4_1V2 = Spec<4, true, Scale::f32, Order::halves, 32>;
using Q8_0V2 = Spec<8, false, Scale::f32, Order::halves, 32>;
using Q4_0V1 = Spec<4, false, Scale::f32, Order::neighbours, 32>;
using Q4_1V1 = Spec<4, true, Scale::f32, Order::neighbours, 32>;
using Q5_0V1 = Spec<5, false, Scale::f16, Order::neighbours, 32>;
using Q5_1V1 = Spec<5, true, Scale::f16, Order::neighbours, 32>;
using Q4_2 = Spec<4, false, Scale::f16, Order::neighbours, 16>;
using Q4_3 = Spec<4, true, Scale::f16, Order::neighbours, 16>;

// The stored integers of a block, before the offset: unsigned below 8 bits, signed at 8.
template <class S>
inline void unpack_block(const std::byte* src, int* q) {
  if constexpr (S::bits == 8) {
    std::int8_t bytes[S::size];
    std::memcpy(bytes, src + S::quants_at, S::size);
    for (int j = 0; j < S::size; ++j) q[j] = bytes[j];
  } else {
    std::uint8_t nibbles[S::size / 2];
    std::memcpy(nibbles, src + S::quants_at, S::size / 2);
    for (int j = 0; j < S::size / 2; ++j) {
      const int a = S::order == Order::halves ? j : 2 * j;
      const int b = S::order == Order::halves ? j + S::size / 2 : 2 * j + 1;
      q[a] = nibbles[j] & 15;
      q[b] = nibbles[j] >> 4;
    }
    if constexpr (S::bits == 5) {
      std::uint32_t high;
      std::memcpy(&high, src + S::high_at, 4);
      for (int j = 0; j < S::size; ++j) q[j] |= static_cast<int>((high >> j) & 1u) << 4;
    }
  }
}

template <class S>
inline void pack_block(const int* q, std::byte* dst) {
  if constexpr (S::bits == 8) {
    for (int j = 0; j < S::size; ++j) {
      dst[S::quants_at + j] = static_cast<std::byte>(static_cast<std::int8_t>(q[j]));
    }
  } else {
    for (int j = 0; j < S::size / 2; ++j) {
      const int a = S::order == Order::halves ? j : 2 * j;
      const int b = S::order == Order::halves ? j + S::size / 2 : 2 * j + 1;
      dst[S::quants_at + j] = static_cast<std::byte>((q[a] & 15) | ((q[b] & 15) << 4));
    }
    if constexpr (S::bits == 5) {
      std::uint32_t high = 0;
      for (int j = 0; j < S::size; ++j) high |= static_cast<std::uint32_t>(q[j] >> 4) << j;
      std::memcpy(dst + S::high_at, &high, 4);
    }
  }
}

}  // namespace
}  // namespace ggmlkit
