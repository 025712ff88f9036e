// A vector of one float: what the searches of k_search.h and iq4_quantize.h do to each group,
// without SIMD.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/convert.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// Rounds to nearest even by adding 1.5 · 2^23 and reading the low bits: what llama.cpp does, and
// what it stores where x is so large (or NaN) that the sum has other bits there.
inline std::int32_t nearest_integer(float x) {
  return static_cast<std::int32_t>(float_bits(x + 12582912.0f) & 0x7fffffu) - 0x400000;
}

// The first of largest magnitude.
inline float extreme_of(const float* x, int n) {
  float found = 0.0f;
  for (int i = 0; i < n; ++i) found = std::fabs(x[i]) > std::fabs(found) ? x[i] : found;
  return found;
}

struct OneLane {
  static constexpr int count = 1;
  using Part = OneLane;  // what it consists of
  using Mask = bool;

  float v;

  static OneLane all(float x) { return {x}; }
  static OneLane load(const float* p) { return {*p}; }
  void store(float* p) const { *p = v; }
  // Whole numbers from 0 to 255.
  void store_bytes(std::uint8_t* p) const { *p = static_cast<std::uint8_t>(v); }
  // Element i of group l, the groups N elements long, in lane l of out[i].
  template <int N>
  static void load_groups(const float* x, OneLane* out) {
    for (int i = 0; i < N; ++i) out[i] = {x[i]};
  }

  friend OneLane operator+(OneLane a, OneLane b) { return {a.v + b.v}; }
  friend OneLane operator-(OneLane a, OneLane b) { return {a.v - b.v}; }
  friend OneLane operator*(OneLane a, OneLane b) { return {a.v * b.v}; }
  friend OneLane operator/(OneLane a, OneLane b) { return {a.v / b.v}; }
  friend OneLane operator-(OneLane a) { return {-a.v}; }
  friend Mask operator<(OneLane a, OneLane b) { return a.v < b.v; }
  friend Mask operator>(OneLane a, OneLane b) { return a.v > b.v; }
  friend Mask operator!=(OneLane a, OneLane b) { return a.v != b.v; }
  static Mask both(Mask a, Mask b) { return a && b; }
  static bool any(Mask m) { return m; }
  // A bit for each lane, the first lane's lowest.
  static unsigned bits(Mask m) { return static_cast<unsigned>(m); }
  static OneLane select(Mask m, OneLane yes, OneLane no) { return m ? yes : no; }
  static OneLane absolute(OneLane a) { return {std::fabs(a.v)}; }
  static OneLane root(OneLane a) { return {std::sqrt(a.v)}; }
  // nearest_integer(), then no less than `low` and no more than `high`.
  static OneLane nearest(OneLane a, int low, int high) {
    const std::int32_t i = nearest_integer(a.v);
    return {static_cast<float>(i < low ? low : i > high ? high : i)};
  }
};

}  // namespace
}  // namespace ggmlkit
