// What a block's codes stand for, before scales: integers in a row, or the values of a codebook.
#pragma once

#include <cstdint>

#include "kernels/generic/iq4_quantize.h"
#include "kernels/generic/mxfp4_quantize.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// All integers from Low to High; the code is the distance from Low.
template <int Low, int High>
struct EvenLevels {
  static constexpr int low = Low;
  static constexpr int high = High;

  template <class F>
  static F nearest(F x) {
    return F::nearest(x, Low, High);
  }
  static std::uint8_t code(float level) {
    return static_cast<std::uint8_t>(static_cast<int>(level) - Low);
  }
};

// The values of iq4_nl and iq4_xs.
struct NormalLevels {
  static constexpr int low = kNormalValues[0];
  static constexpr int high = kNormalValues[15];

  template <class F>
  static F nearest(F x) {
    return of_nearest(x, kNormalValues);
  }
  static std::uint8_t code(float level) {
    std::uint8_t code = 0;
    while (static_cast<float>(kNormalValues[code]) < level) ++code;
    return code;
  }
};

// The values of mxfp4, doubled.
struct E2M1Levels {
  static constexpr int low = -12;
  static constexpr int high = 12;

  template <class F>
  static F nearest(F x) {
    const F magnitude = F::absolute(x);
    F found = F::all(0.0f);
    for (int k = 0; k < 7; ++k) {
      const F next = F::all(static_cast<float>(kE2M1Values[k + 1]));
      found = F::select(magnitude > F::all(kE2M1Midways[k]), next, found);
    }
    return F::select(x < F::all(0.0f), -found, found);
  }
  static std::uint8_t code(float level) {
    const float magnitude = std::fabs(level);
    std::uint8_t code = 0;
    while (static_cast<float>(kE2M1Values[code]) < magnitude) ++code;
    return static_cast<std::uint8_t>(level < 0.0f ? code + 8 : code);
  }
};

}  // namespace
}  // namespace ggmlkit
