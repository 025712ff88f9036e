// Blocks of four-bit indices into sixteen values: iq4_nl and iq4_xs with values spaced like normal
// weights, mxfp4 and nvfp4 with tiny floats (OCP Microscaling Formats 1.0, E2M1). Layouts:
// as in the gguf package.
#pragma once

#include "kernels/layouts/bytes.h"
#include "kernels/layouts/planes.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

constexpr std::int8_t kNormalValues[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                           1,    13,   25,  38,  53,  69,  89,  113};

// Twice the value, so that all are integers. The second zero is E2M1's negative one.
constexpr std::int8_t kE2M1Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

struct Iq4Nl {
  static constexpr int size = 32;
  static constexpr int group = 32;  // elements of one scale
  static constexpr int run = 16;    // see planes.h
  static constexpr const std::int8_t* values = kNormalValues;

  std::uint8_t d[2];
  std::uint8_t quants[16];

  void unpack_scales(float* s) const { s[0] = half_at(d); }
};

struct Iq4Xs {
  static constexpr int size = 256;
  static constexpr int group = 32;
  static constexpr int run = 16;
  static constexpr const std::int8_t* values = kNormalValues;

  std::uint8_t d[2];
  std::uint8_t high[2];  // upper two bits of the eight scales
  std::uint8_t low[4];   // neighbours share a byte; 32 is zero
  std::uint8_t quants[128];

  int integer_scale(int g) const {
    const int lower = (low[g / 2] >> (g % 2 * 4)) & 15;
    const int upper = load_at<std::uint16_t>(high) >> (2 * g) & 3;
    return (lower | (upper << 4)) - 32;
  }
  void unpack_scales(float* s) const {
    const float a = half_at(d);
    for (int g = 0; g < 8; ++g) s[g] = a * static_cast<float>(integer_scale(g));
  }
  // From 0 to 63, 32 for zero.
  void pack_scales(const std::uint8_t* shifted) {
    int upper = 0;
    for (int g = 0; g < 8; ++g) upper |= shifted[g] >> 4 << (2 * g);
    store_at(high, static_cast<std::uint16_t>(upper));
    for (int k = 0; k < 4; ++k) {
      low[k] = static_cast<std::uint8_t>((shifted[2 * k] & 15) | (shifted[2 * k + 1] << 4));
    }
  }
};

// Half of 2^(e - 127), for values that are doubled; the two smallest are subnormal.
inline float half_of_e8m0(std::uint8_t e) {
  return bits_float(e < 2 ? 0x200000u << e : (static_cast<std::uint32_t>(e) - 1u) << 23);
}

// Half of an unsigned float of four exponent and three mantissa bits; its NaN counts as zero.
inline float half_of_e4m3(std::uint8_t bits) {
  if (bits == 0x7f) return 0.0f;
  const std::uint32_t exponent = (bits >> 3) & 15;
  const std::uint32_t mantissa = bits & 7;
  if (exponent == 0) return static_cast<float>(mantissa) * 0.0009765625f;  // 2^-10
  return bits_float(((exponent + 119) << 23) | (mantissa << 20));
}

struct Mxfp4 {
  static constexpr int size = 32;
  static constexpr int group = 32;
  static constexpr int run = 16;
  static constexpr const std::int8_t* values = kE2M1Values;

  std::uint8_t exponent;
  std::uint8_t quants[16];

  void unpack_scales(float* s) const { s[0] = half_of_e8m0(exponent); }
};

struct Nvfp4 {
  static constexpr int size = 64;
  static constexpr int group = 16;
  static constexpr int run = 8;
  static constexpr const std::int8_t* values = kE2M1Values;

  std::uint8_t d[4];
  std::uint8_t quants[32];

  void unpack_scales(float* s) const {
    for (int g = 0; g < 4; ++g) s[g] = half_of_e4m3(d[g]);
  }
};

static_assert(sizeof(Iq4Nl) == 18 && sizeof(Iq4Xs) == 136);
static_assert(sizeof(Mxfp4) == 17 && sizeof(Nvfp4) == 36);

}  // namespace
}  // namespace ggmlkit
