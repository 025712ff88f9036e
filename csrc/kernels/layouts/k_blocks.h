// Layouts of the k-quants: 256 elements in groups that share a scale, itself a small integer times
// the block's float16. Layouts: as in the gguf package.
#pragma once

#include "kernels/layouts/bytes.h"
#include "kernels/layouts/planes.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

constexpr int kSuper = 256;

// Scales of groups, and what is taken off: value = scale · q - minimum.
template <int Groups>
struct GroupScales {
  float scale[Groups];
  float min[Groups];
};

struct Q2K {
  static constexpr int size = kSuper;
  static constexpr int group = 16;
  static constexpr int levels = 3;
  static constexpr int offset = 0;
  static constexpr bool has_min = true;

  std::uint8_t scales[16];  // low nibble: of the scale; high: of the minimum
  std::uint8_t quants[64];
  std::uint8_t d[2];
  std::uint8_t dmin[2];

  void unpack(std::uint8_t* q) const { unpack_planes<2, 32>(quants, q); }
  void pack(const std::uint8_t* q) { pack_planes<2, 32>(q, quants); }
  void unpack_scales(GroupScales<16>& s) const {
    const float a = half_at(d);
    const float b = half_at(dmin);
    for (int g = 0; g < 16; ++g) {
      s.scale[g] = a * static_cast<float>(scales[g] & 15);
      s.min[g] = b * static_cast<float>(scales[g] >> 4);
    }
  }
};

struct Q3K {
  static constexpr int size = kSuper;
  static constexpr int group = 16;
  static constexpr int levels = 7;
  static constexpr int offset = 4;
  static constexpr bool has_min = false;

  std::uint8_t high[32];  // bit 2 of the elements
  std::uint8_t quants[64];
  std::uint8_t scales[12];  // low nibbles of sixteen, then their upper two bits; 32 is zero
  std::uint8_t d[2];

  void unpack(std::uint8_t* q) const {
    std::uint8_t h[kSuper];
    unpack_planes<2, 32>(quants, q);
    unpack_planes<1, 32>(high, h);
    for (int j = 0; j < kSuper; ++j) q[j] = static_cast<std::uint8_t>(q[j] | (h[j] << 2));
  }
  void pack(const std::uint8_t* q) {
    std::uint8_t h[kSuper];
    for (int j = 0; j < kSuper; ++j) h[j] = static_cast<std::uint8_t>(q[j] >> 2);
    pack_planes<2, 32>(q, quants);
    pack_planes<1, 32>(h, high);
  }
  void unpack_integer_scales(int* integers) const {
    std::uint8_t low[16];
    std::uint8_t upper[16];
    unpack_planes<4, 8, 16>(scales, low);
    unpack_planes<2, 4, 16>(scales + 8, upper);
    for (int g = 0; g < 16; ++g) integers[g] = (low[g] | (upper[g] << 4)) - 32;
  }
  // From 0 to 63, 32 for zero.
  void pack_scales(const std::uint8_t* shifted) {
    std::uint8_t upper[16];
    for (int g = 0; g < 16; ++g) upper[g] = static_cast<std::uint8_t>(shifted[g] >> 4);
    pack_planes<4, 8, 16>(shifted, scales);
    pack_planes<2, 4, 16>(upper, scales + 8);
  }
  void unpack_scales(GroupScales<16>& s) const {
    int integers[16];
    unpack_integer_scales(integers);
    const float a = half_at(d);
    for (int g = 0; g < 16; ++g) s.scale[g] = a * static_cast<float>(integers[g]);
  }
};

// Eight scales and eight minima of six bits in twelve bytes. The first four of each lie in the low
// six bits of bytes 0-3 and 4-7; of the others, bytes 8-11 hold the low nibbles (scale below,
// minimum above), and the upper two bits lie above the first four's.
struct SixBitPairs {
  std::uint8_t bytes[12];

  int scale(int g) const {
    return g < 4 ? bytes[g] & 63 : (bytes[g + 4] & 15) | (bytes[g - 4] >> 6 << 4);
  }
  int min(int g) const {
    return g < 4 ? bytes[g + 4] & 63 : (bytes[g + 4] >> 4) | (bytes[g] >> 6 << 4);
  }
  void set(const std::uint8_t* scale, const std::uint8_t* min) {
    for (int g = 0; g < 4; ++g) {
      bytes[g] = static_cast<std::uint8_t>(scale[g] | (scale[g + 4] >> 4 << 6));
      bytes[g + 4] = static_cast<std::uint8_t>(min[g] | (min[g + 4] >> 4 << 6));
      bytes[g + 8] = static_cast<std::uint8_t>((scale[g + 4] & 15) | (min[g + 4] << 4));
    }
  }
  void multiply(float d, float dmin, GroupScales<8>& s) const {
    for (int g = 0; g < 8; ++g) {
      s.scale[g] = d * static_cast<float>(scale(g));
      s.min[g] = dmin * static_cast<float>(min(g));
    }
  }
};

struct Q4K {
  static constexpr int size = kSuper;
  static constexpr int group = 32;
  static constexpr int levels = 15;
  static constexpr int offset = 0;
  static constexpr bool has_min = true;

  std::uint8_t d[2];
  std::uint8_t dmin[2];
  SixBitPairs scales;
  std::uint8_t quants[128];

  void unpack(std::uint8_t* q) const { unpack_planes<4, 32>(quants, q); }
  void pack(const std::uint8_t* q) { pack_planes<4, 32>(q, quants); }
  void unpack_scales(GroupScales<8>& s) const { scales.multiply(half_at(d), half_at(dmin), s); }
};

struct Q5K {
  static constexpr int size = kSuper;
  static constexpr int group = 32;
  static constexpr int levels = 31;
  static constexpr int offset = 0;
  static constexpr bool has_min = true;

  std::uint8_t d[2];
  std::uint8_t dmin[2];
  SixBitPairs scales;
  std::uint8_t high[32];  // bit 4 of the elements
  std::uint8_t quants[128];

  void unpack(std::uint8_t* q) const {
    std::uint8_t h[kSuper];
    unpack_planes<4, 32>(quants, q);
    unpack_planes<1, 32>(high, h);
    for (int j = 0; j < kSuper; ++j) q[j] = static_cast<std::uint8_t>(q[j] | (h[j] << 4));
  }
  void pack(const std::uint8_t* q) {
    std::uint8_t h[kSuper];
    for (int j = 0; j < kSuper; ++j) h[j] = static_cast<std::uint8_t>(q[j] >> 4);
    pack_planes<4, 32>(q, quants);
    pack_planes<1, 32>(h, high);
  }
  void unpack_scales(GroupScales<8>& s) const { scales.multiply(half_at(d), half_at(dmin), s); }
};

struct Q6K {
  static constexpr int size = kSuper;
  static constexpr int group = 16;
  static constexpr int levels = 63;
  static constexpr int offset = 32;
  static constexpr bool has_min = false;

  std::uint8_t quants[128];  // low four bits of the elements
  std::uint8_t high[64];     // upper two
  std::uint8_t scales[16];   // signed
  std::uint8_t d[2];

  void unpack(std::uint8_t* q) const {
    std::uint8_t h[kSuper];
    unpack_planes<4, 64>(quants, q);
    unpack_planes<2, 32>(high, h);
    for (int j = 0; j < kSuper; ++j) q[j] = static_cast<std::uint8_t>(q[j] | (h[j] << 4));
  }
  void pack(const std::uint8_t* q) {
    std::uint8_t h[kSuper];
    for (int j = 0; j < kSuper; ++j) h[j] = static_cast<std::uint8_t>(q[j] >> 4);
    pack_planes<4, 64>(q, quants);
    pack_planes<2, 32>(h, high);
  }
  void unpack_scales(GroupScales<16>& s) const {
    const float a = half_at(d);
    for (int g = 0; g < 16; ++g) {
      s.scale[g] = a * static_cast<float>(static_cast<std::int8_t>(scales[g]));
    }
  }
};

static_assert(sizeof(Q2K) == 84 && sizeof(Q3K) == 110 && sizeof(Q4K) == 144);
static_assert(sizeof(Q5K) == 176 && sizeof(Q6K) == 210);

template <class B>
constexpr int kGroups = kSuper / B::group;

}  // namespace
}  // namespace ggmlkit
