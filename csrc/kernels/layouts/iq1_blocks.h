// Blocks of iq1_s and iq1_m: 256 elements, eight to a point of the lattice (grids/iq1.h), which is
// moved by an eighth up or down. Layouts: as in the gguf package.
#pragma once

#include "kernels/layouts/bytes.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

constexpr float kIq1Moved = 0.125f;

struct Iq1S {
  static constexpr std::size_t size = 256;
  std::uint8_t d[2];
  std::uint8_t quants[32];
  std::uint8_t high[16];  // of 32 elements: upper three bits of four points, the scale, down

  // Calls put(number of the point, scale, whether it is moved down) for each eight elements.
  template <class Put>
  void for_points(Put put) const {
    const float unit = half_at(d);
    for (int g = 0; g < 8; ++g) {
      const int word = load_at<std::uint16_t>(high, g);
      const float scale = unit * static_cast<float>(2 * ((word >> 12) & 7) + 1);
      for (int k = 0; k < 4; ++k) {
        put(quants[4 * g + k] | (((word >> (3 * k)) & 7) << 8), scale, word >> 15 != 0);
      }
    }
  }
};

struct Iq1M {
  static constexpr std::size_t size = 256;
  std::uint8_t quants[32];
  std::uint8_t high[16];   // of sixteen elements: upper three bits of a point and down, twice
  std::uint8_t scales[8];  // four times four scales of three bits, and a nibble of the float16

  template <class Put>
  void for_points(Put put) const {
    int half = 0;
    for (int i = 0; i < 4; ++i) half |= load_at<std::uint16_t>(scales, i) >> 12 << (4 * i);
    const float unit = half_to_float(static_cast<std::uint16_t>(half));
    for (int g = 0; g < 4; ++g) {  // read before results are stored that may be anywhere
      const auto low = load_at<std::uint64_t>(quants, g);
      const auto upper = load_at<std::uint32_t>(high, g);
      const int four_scales = load_at<std::uint16_t>(scales, g);
      for (int k = 0; k < 8; ++k) {
        const int s = (four_scales >> (k / 2 * 3)) & 7;
        const auto nibble = static_cast<int>(upper >> (4 * k));
        const int point = static_cast<int>((low >> (8 * k)) & 255) | ((nibble & 7) << 8);
        put(point, unit * static_cast<float>(2 * s + 1), (nibble & 8) != 0);
      }
    }
  }
};

static_assert(sizeof(Iq1S) == 50 && sizeof(Iq1M) == 56);

}  // namespace
}  // namespace ggmlkit
