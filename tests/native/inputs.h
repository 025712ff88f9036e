// Awkward inputs: what quantizers, dequantizers and products get wrong first.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "kernels/kernel_table.h"

namespace ggmlkit::check {

using Bytes = std::vector<std::byte>;
using Random = std::mt19937;

inline int whole(Random& random, int low, int high) {
  return std::uniform_int_distribution<int>(low, high)(random);
}

// Element j of a block from -limit to limit - 1 in halves, both of which it holds: a quantizer
// whose range that is has a scale of one, and meets ties.
inline float half_step(std::size_t j, int limit, Random& random) {
  if (j == 0) return static_cast<float>(-limit);
  if (j == 1) return static_cast<float>(limit - 1);
  return 0.5f * static_cast<float>(whole(random, -2 * limit, 2 * (limit - 1)));
}

// One block of each kind in turn, from any of them on: normal, zeros of both signs, subnormal, ties
// of both signs, as large as float16 holds, as large as float32 holds, steps of a quarter, never
// negative, midway between levels of four, five and eight bits, constant.
inline std::vector<float> awkward(std::size_t n, Random& random) {
  const std::size_t start = random() % 12;
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) {
    const float v = normal(random);
    switch ((start + i / kBlock) % 12) {
      case 0:
        x[i] = v;
        break;
      case 1:
        x[i] = std::copysign(0.0f, v);
        break;
      case 2:
        x[i] = v * (i / kBlock % 2 ? 1e-42f : 1e-39f);
        break;
      case 3:
        x[i] = std::copysign(1.0f, v);
        break;
      case 4:
        x[i] = v * 65504.0f;
        break;
      case 5:
        x[i] = std::copysign(i % 3 ? 3.4e38f : 1.7e38f, v);
        break;
      case 6:
        x[i] = std::round(v * 4) / 4;
        break;
      case 7:
        x[i] = std::fmax(v, 0.0f);
        break;
      case 8:
        x[i] = half_step(i % kBlock, 8, random);
        break;
      case 9:
        x[i] = half_step(i % kBlock, 16, random);
        break;
      case 10:
        x[i] = half_step(i % kBlock, 127, random);
        break;
      default:
        x[i] = -0.75f;
        break;
    }
  }
  return x;
}

// Every float16 that float32 can hit, its neighbours and the middles between two.
inline std::vector<float> around_halves() {
  std::vector<float> x;
  for (std::uint32_t bits = 0; bits < 1u << 19; ++bits) {
    const std::uint32_t high = bits << 13;
    for (const std::uint32_t low : {0u, 1u, 0xfffu, 0x1000u, 0x1001u, 0x1fffu}) {
      const std::uint32_t u = high | low;
      float f;
      __builtin_memcpy(&f, &u, sizeof f);
      x.push_back(f);
    }
  }
  return x;
}

inline Bytes random_bytes(std::size_t n, Random& random) {
  Bytes bytes(n);
  for (std::byte& b : bytes) b = static_cast<std::byte>(whole(random, 0, 255));
  return bytes;
}

// Rounded activations in panels, with scales that are powers of two, so that products of small
// weights are exact in any order of summation. Every fourth block holds one extreme value alone;
// some have a second part, the last ones of every other panel among them.
struct RoundedActivations {
  std::vector<std::int8_t> q;
  std::vector<float> scale;
  std::vector<std::int32_t> sum;
  std::vector<std::int32_t> start;
  std::vector<std::int32_t> first;
  std::vector<std::uint32_t> blocks;
  std::vector<std::uint32_t> counts;
  std::size_t cols;

  RoundedActivations(std::size_t tokens, std::size_t columns, Random& random)
      : q(tokens * columns * 2), blocks(tokens * room(columns)), counts(tokens), cols(columns) {
    std::size_t width = 0;
    for (std::size_t token = 0; token < tokens; token += width) {
      width = panel_width(tokens - token);
      std::uint32_t* list = blocks.data() + token * room(cols);
      const bool two_parts = token / width % 2 == 0;
      std::uint32_t& count = counts[token];
      for (std::uint32_t b = 0; b < cols / kBlock; ++b) {
        list[count++] = b;
        const bool is_last = b + 1 == cols / kBlock;
        if (two_parts && (is_last || whole(random, 0, 5) == 0)) list[count++] = b;
      }
      std::int8_t* panel = q.data() + token * room(cols) * kBlock;
      for (std::size_t i = 0; i < count; ++i) {
        std::int8_t* block = panel + i * kBlock * width;
        for (std::size_t t = 0; t < width; ++t) fill(block + 4 * t, width, i % 4 == 3, random);
      }
      // What lies behind a panel's rounded blocks is nobody's.
      const std::size_t end = (token + width) * room(cols);
      scale.resize(end, NAN);
      sum.resize(end);
      start.resize(end);
      first.resize(end);
    }
  }
  ActivationView view() const {
    return {q.data(),      scale.data(),  sum.data(), start.data(), first.data(),
            blocks.data(), counts.data(), cols,       room(cols)};
  }

 private:
  static std::size_t room(std::size_t cols) { return cols / kBlock * 2; }

  // One token's block, its quads `width` quads apart.
  void fill(std::int8_t* quads, std::size_t width, bool extreme, Random& random) {
    std::int32_t halves[2] = {};
    const auto starts = [&halves] { return -8 * halves[1] * 65536 + (-8 * halves[0] & 0xffff); };
    const int sign = whole(random, 0, 1) ? 127 : -127;
    for (std::size_t j = 0; j < kBlock; ++j) {
      if (j == kBlock / 2) first.push_back(starts());
      const int v = extreme ? sign : whole(random, -127, 127);
      quads[j / 4 * width * 4 + j % 4] = static_cast<std::int8_t>(v);
      halves[j / 2 % 2] += v;
    }
    scale.push_back(whole(random, 0, 1) ? 1.0f : 0.5f);
    sum.push_back(halves[0] + halves[1]);
    start.push_back(starts());
  }
};

}  // namespace ggmlkit::check
