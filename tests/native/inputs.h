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

// Rounded activations, with scales that are powers of two, so that products of small weights are
// exact in any order of summation. Every fourth block holds one extreme value alone; some blocks of
// some tokens have a second part, the last one among them.
struct RoundedActivations {
  struct Block {
    std::int8_t q[kBlock] = {};
    float scale = 0.0f;
  };
  struct Element {
    Block first;
    Block second;
    bool has_second;
  };
  std::vector<Element> elements;  // [tokens][cols / 32]
  std::size_t cols;

  RoundedActivations(std::size_t tokens, std::size_t columns, Random& random)
      : elements(tokens * (columns / kBlock)), cols(columns) {
    const std::size_t blocks = cols / kBlock;
    for (std::size_t i = 0; i < elements.size(); ++i) {
      Element& e = elements[i];
      e.first = some_block(i % blocks % 4 == 3, random);
      e.has_second = whole(random, 0, i % blocks + 1 == blocks ? 1 : 9) == 0;
      if (e.has_second) e.second = some_block(whole(random, 0, 3) == 0, random);
    }
  }

  const Element& at(std::size_t token, std::size_t block) const {
    return elements[token * (cols / kBlock) + block];
  }
  // Both parts together.
  float value(std::size_t token, std::size_t i) const {
    const auto& [first, second, has_second] = at(token, i / kBlock);
    return first.scale * static_cast<float>(first.q[i % kBlock]) +
           second.scale * static_cast<float>(second.q[i % kBlock]);
  }

 private:
  static Block some_block(bool extreme, Random& random) {
    Block block;
    const int sign = whole(random, 0, 1) ? 127 : -127;
    for (std::int8_t& v : block.q) {
      v = static_cast<std::int8_t>(extreme ? sign : whole(random, -127, 127));
    }
    block.scale = whole(random, 0, 1) ? 1.0f : 0.5f;
    return block;
  }
};

// A number's upper half, rounded; away from zero between two, as the kernels do it.
inline std::uint16_t bfloat16(float x) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return static_cast<std::uint16_t>((bits + 0x8000) >> 16);
}

inline float through_bfloat16(float x) {
  const std::uint32_t bits = static_cast<std::uint32_t>(bfloat16(x)) << 16;
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}

// Where a matrix panel has element i of a token, in bytes.
inline std::size_t matrix_place(std::size_t token, std::size_t i) {
  constexpr std::size_t step = token_step(kMatrixPanel);
  return (i / kBlock * kMatrixPanel + token) * step + i % kBlock * sizeof(std::uint16_t);
}

// The same in panels, as a table's kernels take them: in matrix panels the blocks' values in
// bfloat16. What lies behind a panel's rounded blocks is nobody's.
class Panels {
 public:
  Panels(const RoundedActivations& x, std::size_t tokens, std::size_t widest)
      : cols_(x.cols), widest_(widest) {
    const std::size_t rounded = tokens * room();
    q_.resize(rounded * kBlock, 99);
    scale_.resize(rounded, NAN);
    for (auto* values : {&sum_, &start_, &first_}) values->resize(rounded, 12345);
    blocks_.resize(rounded);
    counts_.resize(tokens);
    for (std::size_t t = 0; t < tokens; t += panel_width(tokens - t, widest)) {
      const std::size_t width = panel_width(tokens - t, widest);
      if (width == kMatrixPanel) {
        add_bfloat16(x, t);
        continue;
      }
      for (std::size_t b = 0; b < cols_ / kBlock; ++b) {
        add(x, t, width, b, &RoundedActivations::Element::first);
        bool has_second = false;
        for (std::size_t i = 0; i < width; ++i) has_second |= x.at(t + i, b).has_second;
        if (has_second) add(x, t, width, b, &RoundedActivations::Element::second);
      }
    }
  }

  ActivationView view() const {
    return {q_.data(),      scale_.data(),  sum_.data(), start_.data(), first_.data(),
            blocks_.data(), counts_.data(), cols_,       room(),        widest_};
  }

 private:
  std::size_t room() const { return cols_ / kBlock * 2; }

  void add_bfloat16(const RoundedActivations& x, std::size_t first) {
    for (std::size_t t = 0; t < kMatrixPanel; ++t) {
      for (std::size_t i = 0; i < cols_; ++i) {
        const std::uint16_t value = bfloat16(x.value(first + t, i));
        std::int8_t* panel = q_.data() + first * room() * kBlock;
        __builtin_memcpy(panel + matrix_place(t, i), &value, sizeof value);
      }
    }
  }

  void add(const RoundedActivations& x, std::size_t first, std::size_t width, std::size_t b,
           RoundedActivations::Block RoundedActivations::Element::* part) {
    const std::size_t i = counts_[first]++;
    blocks_[first * room() + i] = static_cast<std::uint32_t>(b);
    const std::size_t at = first * room() + i * width;
    for (std::size_t t = 0; t < width; ++t) {
      place(x.at(first + t, b).*part, at + t, width,
            q_.data() + at * kBlock + t * token_step(width));
    }
  }

  void place(const RoundedActivations::Block& block, std::size_t at, std::size_t width,
             std::int8_t* q) {
    std::int32_t halves[2] = {};
    const auto starts = [&halves] { return -8 * halves[1] * 65536 + (-8 * halves[0] & 0xffff); };
    for (std::size_t j = 0; j < kBlock; ++j) {
      if (j == kBlock / 2) first_[at] = starts();
      q[j / 4 * quad_step(width) + j % 4] = block.q[j];
      halves[j / 2 % 2] += block.q[j];
    }
    scale_[at] = block.scale;
    sum_[at] = halves[0] + halves[1];
    start_[at] = starts();
  }

  std::size_t cols_;
  std::size_t widest_;
  std::vector<std::int8_t> q_;
  std::vector<float> scale_;
  std::vector<std::int32_t> sum_;
  std::vector<std::int32_t> start_;
  std::vector<std::int32_t> first_;
  std::vector<std::uint32_t> blocks_;
  std::vector<std::uint32_t> counts_;
};

// Small whole numbers, which all float types hold: exact in any order of summation.
inline std::vector<float> small_numbers(std::size_t n, Random& random) {
  std::vector<float> x(n);
  for (float& v : x) v = static_cast<float>(whole(random, -16, 16));
  return x;
}

}  // namespace ggmlkit::check
