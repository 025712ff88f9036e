// Small integers as most blocks of today pack them: in runs of bytes, where each byte holds one
// element of several runs.
#pragma once

#include <cstdint>

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// Elements of `Bits` bits. A run of `Run` bytes holds 8 / Bits runs of elements: byte l has element
// s · Run + l at bit s · Bits.
template <int Bits, int Run, int Size = 256>
inline void unpack_planes(const std::uint8_t* bytes, std::uint8_t* q) {
  constexpr int sharing = 8 / Bits;
  static_assert(Size % (sharing * Run) == 0);
  for (int c = 0; c < Size / (sharing * Run); ++c, bytes += Run) {
    for (int s = 0; s < sharing; ++s, q += Run) {
      for (int l = 0; l < Run; ++l) {
        q[l] = static_cast<std::uint8_t>((bytes[l] >> (s * Bits)) & ((1 << Bits) - 1));
      }
    }
  }
}

// The inverse; takes the low bits of each element.
template <int Bits, int Run, int Size = 256>
inline void pack_planes(const std::uint8_t* q, std::uint8_t* bytes) {
  constexpr int sharing = 8 / Bits;
  static_assert(Size % (sharing * Run) == 0);
  for (int c = 0; c < Size / (sharing * Run); ++c, bytes += Run, q += sharing * Run) {
    for (int l = 0; l < Run; ++l) {
      int byte = 0;
      for (int s = 0; s < sharing; ++s) {
        byte |= (q[s * Run + l] & ((1 << Bits) - 1)) << (s * Bits);
      }
      bytes[l] = static_cast<std::uint8_t>(byte);
    }
  }
}

}  // namespace
}  // namespace ggmlkit
