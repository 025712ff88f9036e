// What differs between the quantizers of the iq2 and iq3 types: how many trials there are, and what
// is stored where.
#pragma once

#include "kernels/generic/k_weighted_quantize.h"
#include "kernels/layouts/iq2_iq3_blocks.h"
#include "kernels/layouts/near_points.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// Which points of a group are chosen anew after the trials, with the scale that the best one gave.
enum class Again { all, off_lattice, all_if_any };

// Trial t of -trials … trials maps the group's largest element to top + t · step.
struct Iq2Rules {
  static constexpr int elements = 8;
  static constexpr int bits = 2;
  static constexpr int levels = 3;
  static constexpr float values[8] = {1, 3, 5, 7, 1, 3, 5, 7};
  static constexpr float top = 5.0f;
  static constexpr float step = 0.1f;
};
struct Iq3Rules {
  static constexpr int elements = 4;
  static constexpr int bits = 3;
  static constexpr int levels = 8;
  static constexpr float values[8] = {1, 3, 5, 7, 9, 11, 13, 15};
  static constexpr float top = 15.0f;
  static constexpr float step = 0.2f;
};

// Rules<B> of a block B:
//   group           elements that share a scale
//   trials, again   see above
//   mean            of squares, in means of the block's
//   has_parity      the number of minuses of eight elements is even
//   nothing         groups whose largest element is below this are left out
//   clears          a block without a scale has nothing else either
//   widened         factor of the block's scale
//   unweighted(mean, x)  the weight of an element where no importance is known
//   put(block, g, k, point, signs of its eight), put_scale(block, g, scale of four bits)
template <class B>
struct Rules;

template <>
struct Rules<Iq2Xxs> : Iq2Rules {
  static constexpr int group = 32;
  static constexpr int trials = 6;
  static constexpr Again again = Again::all;
  static constexpr float mean = 1.0f;
  static constexpr bool has_parity = true;
  static constexpr bool clears = true;
  static constexpr float nothing = 1e-15f;
  static constexpr float widened = 1.0f;
  static float unweighted(float average, float x) { return std::sqrt(average + x * x); }
  static const NearPoints& near() { return near_iq2_xxs_points(); }
  static void put(Iq2Xxs& block, int g, int k, int point, unsigned signs) {
    block.groups[g][k] = static_cast<std::uint8_t>(point);
    add_bits(block.groups[g] + 4, (signs & 127) << (7 * k));
  }
  static void put_scale(Iq2Xxs& block, int g, unsigned scale) {
    add_bits(block.groups[g] + 4, scale << 28);
  }
  static void add_bits(std::uint8_t* at, unsigned bits) {
    store_at(at, load_at<std::uint32_t>(at) | bits);
  }
};

inline void put_nibble(std::uint8_t* bytes, int i, unsigned nibble) {
  bytes[i / 2] = static_cast<std::uint8_t>(bytes[i / 2] | (nibble << (i % 2 * 4)));
}

template <>
struct Rules<Iq2Xs> : Iq2Rules {
  static constexpr int group = 16;
  static constexpr int trials = 9;
  static constexpr Again again = Again::off_lattice;
  static constexpr float mean = 1.0f;
  static constexpr bool has_parity = true;
  static constexpr bool clears = true;
  static constexpr float nothing = 1e-15f;
  static constexpr float widened = 1.0f;
  static float unweighted(float average, float x) { return std::sqrt(average + x * x); }
  static const NearPoints& near() { return near_iq2_xs_points(); }
  static void put(Iq2Xs& block, int g, int k, int point, unsigned signs) {
    const unsigned word = static_cast<unsigned>(point) | ((signs & 127) << 9);
    store_at(block.quants + 4 * g + 2 * k, static_cast<std::uint16_t>(word));
  }
  static void put_scale(Iq2Xs& block, int g, unsigned scale) { put_nibble(block.scales, g, scale); }
};

template <>
struct Rules<Iq2S> : Iq2Rules {
  static constexpr int group = 16;
  static constexpr int trials = 9;
  static constexpr Again again = Again::off_lattice;
  static constexpr float mean = 2.0f;
  static constexpr bool has_parity = false;
  static constexpr bool clears = false;
  static constexpr float nothing = 1e-8f;
  static constexpr float widened = 0.9875f;
  static float unweighted(float average, float x) { return 0.25f * average + x * x; }
  static const NearPoints& near() { return near_iq2_s_points(); }
  static void put(Iq2S& block, int g, int k, int point, unsigned signs) {
    const int eight = 2 * g + k;
    block.quants[eight] = static_cast<std::uint8_t>(point & 255);
    block.signs[eight] = static_cast<std::uint8_t>(signs);
    std::uint8_t& high = block.high[eight / 4];
    high = static_cast<std::uint8_t>(high | ((point >> 8) << (eight % 4 * 2)));
  }
  static void put_scale(Iq2S& block, int g, unsigned scale) { put_nibble(block.scales, g, scale); }
};

template <>
struct Rules<Iq3Xxs> : Iq3Rules {
  static constexpr int group = 32;
  static constexpr int trials = 15;
  static constexpr Again again = Again::off_lattice;
  static constexpr float mean = 2.0f;
  static constexpr bool has_parity = true;
  static constexpr bool clears = true;
  static constexpr float nothing = 1e-8f;
  static constexpr float widened = 1.0125f;
  static float unweighted(float, float x) { return x * x; }
  static const NearPoints& near() { return near_iq3_xxs_points(); }
  static void put(Iq3Xxs& block, int g, int k, int point, unsigned signs) {
    block.quants[8 * g + k] = static_cast<std::uint8_t>(point);
    if (k % 2 == 0) add_bits(block.rest + 4 * g, (signs & 127) << (7 * (k / 2)));
  }
  static void put_scale(Iq3Xxs& block, int g, unsigned scale) {
    add_bits(block.rest + 4 * g, scale << 28);
  }
  static void add_bits(std::uint8_t* at, unsigned bits) {
    store_at(at, load_at<std::uint32_t>(at) | bits);
  }
};

template <>
struct Rules<Iq3S> : Iq3Rules {
  static constexpr int group = 32;
  static constexpr int trials = 9;
  static constexpr Again again = Again::all_if_any;
  static constexpr float mean = 2.0f;
  static constexpr bool has_parity = false;
  static constexpr bool clears = false;
  static constexpr float nothing = 1e-45f;  // zero alone: the least float above it
  static constexpr float widened = 1.033f;
  static float unweighted(float, float x) { return x * x; }
  static const NearPoints& near() { return near_iq3_s_points(); }
  static void put(Iq3S& block, int g, int k, int point, unsigned signs) {
    block.quants[8 * g + k] = static_cast<std::uint8_t>(point & 255);
    block.high[g] = static_cast<std::uint8_t>(block.high[g] | ((point >> 8) << k));
    block.signs[4 * g + k / 2] = static_cast<std::uint8_t>(signs);
  }
  static void put_scale(Iq3S& block, int g, unsigned scale) { put_nibble(block.scales, g, scale); }
};

}  // namespace
}  // namespace ggmlkit
