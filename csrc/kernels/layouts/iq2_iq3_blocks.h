// Blocks of iq2 and iq3: 256 elements, eight or four to a point of a lattice (grids), each with a
// sign of its own. Layouts: as in the gguf package.
#pragma once

#include "kernels/layouts/bytes.h"
#include "kernels/layouts/grids/iq2.h"
#include "kernels/layouts/grids/iq3.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// Points of a lattice: element e of one is the magnitude numbered by `bits` bits of its word, from
// bit e · bits on. There are eight magnitudes, or four twice.
struct Iq2Lattice {
  static constexpr std::size_t size = 256;
  static constexpr int elements = 8;
  static constexpr int bits = 2;
  static constexpr float magnitudes[8] = {8, 25, 43, 0, 8, 25, 43, 0};

  static float scale(float unit, unsigned four_bits) {
    return unit * (0.5f + static_cast<float>(four_bits)) * 0.25f;
  }
};
struct Iq3Lattice {
  static constexpr std::size_t size = 256;
  static constexpr int elements = 4;
  static constexpr int bits = 4;
};

// Seven signs and an eighth that makes the number of minuses even.
inline int with_parity(unsigned seven) {
  return static_cast<int>(seven | (static_cast<unsigned>(__builtin_parity(seven)) << 7));
}

// Number i of those of four bits in `bytes`.
inline unsigned nibble(const std::uint8_t* bytes, int i) {
  return static_cast<unsigned>(bytes[i / 2] >> (i % 2 * 4)) & 15;
}

// Each has for_eights(put), which reads what it needs before the results are stored, as these may
// be anywhere for all the compiler knows. It calls put(points, scale, signs) for each eight
// elements: the numbers of their point, or of their two; a bit of `signs` is set for minus.

struct Iq2Xxs : Iq2Lattice {
  static constexpr const auto& points = kIq2XxsPoints;
  std::uint8_t d[2];
  std::uint8_t groups[8][8];  // four points; then four times seven signs and a scale of four bits

  template <class Put>
  void for_eights(Put put) const {
    const float unit = half_at(d);
    for (const auto& group : groups) {
      const auto four = load_at<std::uint32_t>(group);
      const auto rest = load_at<std::uint32_t>(group + 4);
      const float s = scale(unit, rest >> 28);
      for (int k = 0; k < 4; ++k) {
        const int point[] = {static_cast<int>((four >> (8 * k)) & 255)};
        put(point, s, with_parity((rest >> (7 * k)) & 127));
      }
    }
  }
};

struct Iq2Xs : Iq2Lattice {
  static constexpr const auto& points = kIq2XsPoints;
  std::uint8_t d[2];
  std::uint8_t quants[64];  // of each eight elements, nine bits of point and seven of signs
  std::uint8_t scales[8];   // of sixteen elements each

  template <class Put>
  void for_eights(Put put) const {
    const float unit = half_at(d);
    for (int g = 0; g < 16; ++g) {
      const float s = scale(unit, nibble(scales, g));
      const auto two = load_at<std::uint32_t>(quants, g);
      for (int k = 0; k < 2; ++k) {
        const std::uint32_t word = (two >> (16 * k)) & 0xffff;
        const int point[] = {static_cast<int>(word & 511)};
        put(point, s, with_parity(word >> 9));
      }
    }
  }
};

struct Iq2S : Iq2Lattice {
  static constexpr const auto& points = kIq2SPoints;
  std::uint8_t d[2];
  std::uint8_t quants[32];
  std::uint8_t signs[32];
  std::uint8_t high[8];  // upper two bits of the points
  std::uint8_t scales[8];

  template <class Put>
  void for_eights(Put put) const {
    const float unit = half_at(d);
    for (int g = 0; g < 8; ++g) {
      const auto low = load_at<std::uint32_t>(quants, g);
      const auto minus = load_at<std::uint32_t>(signs, g);
      const int upper = high[g];
      const float two_scales[] = {scale(unit, nibble(scales, 2 * g)),
                                  scale(unit, nibble(scales, 2 * g + 1))};
      for (int k = 0; k < 4; ++k) {
        const int point[] = {static_cast<int>((low >> (8 * k)) & 255) |
                             (((upper >> (2 * k)) & 3) << 8)};
        put(point, two_scales[k / 2], static_cast<int>((minus >> (8 * k)) & 255));
      }
    }
  }
};

struct Iq3Xxs : Iq3Lattice {
  static constexpr const auto& points = kIq3XxsPoints;
  static constexpr float magnitudes[8] = {4, 12, 20, 28, 36, 44, 52, 62};
  std::uint8_t d[2];
  std::uint8_t quants[64];
  std::uint8_t rest[32];  // of 32 elements, four times seven signs and a scale of four bits

  template <class Put>
  void for_eights(Put put) const {
    const float unit = half_at(d);
    for (int g = 0; g < 8; ++g) {
      const auto eight = load_at<std::uint64_t>(quants, g);
      const auto word = load_at<std::uint32_t>(rest, g);
      const float scale = unit * (0.5f + static_cast<float>(word >> 28)) * 0.5f;
      for (int k = 0; k < 4; ++k) {
        const int two[] = {static_cast<int>((eight >> (16 * k)) & 255),
                           static_cast<int>((eight >> (16 * k + 8)) & 255)};
        put(two, scale, with_parity((word >> (7 * k)) & 127));
      }
    }
  }
};

struct Iq3S : Iq3Lattice {
  static constexpr const auto& points = kIq3SPoints;
  static constexpr float magnitudes[8] = {1, 3, 5, 7, 9, 11, 13, 15};
  std::uint8_t d[2];
  std::uint8_t quants[64];
  std::uint8_t high[8];  // bit 8 of the points
  std::uint8_t signs[32];
  std::uint8_t scales[4];  // of 32 elements each

  template <class Put>
  void for_eights(Put put) const {
    const float unit = half_at(d);
    for (int g = 0; g < 8; ++g) {
      const auto eight = load_at<std::uint64_t>(quants, g);
      const auto minus = load_at<std::uint32_t>(signs, g);
      const int upper = high[g];
      const float scale = unit * static_cast<float>(1 + 2 * nibble(scales, g));
      const auto point = [&](int k) {
        return static_cast<int>((eight >> (8 * k)) & 255) | (((upper >> k) & 1) << 8);
      };
      for (int k = 0; k < 4; ++k) {
        const int two[] = {point(2 * k), point(2 * k + 1)};
        put(two, scale, static_cast<int>((minus >> (8 * k)) & 255));
      }
    }
  }
};

static_assert(sizeof(Iq2Xxs) == 66 && sizeof(Iq2Xs) == 74 && sizeof(Iq2S) == 82);
static_assert(sizeof(Iq3Xxs) == 98 && sizeof(Iq3S) == 110);

}  // namespace
}  // namespace ggmlkit
