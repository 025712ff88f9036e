// Which points of a lattice are near a place that has none: what the quantizers of iq1, iq2 and iq3
// choose among.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ggmlkit {

// A word has the level of element e from bit e · bits on: of a point of the lattice, or of any
// other place in its space. Near a place are all points at the smallest few distances from it, the
// nearest first and those at one distance in the lattice's order.
class NearPoints {
 public:
  struct List {
    const std::uint16_t* words;  // of `count` points, and of the last again up to a multiple of 8
    std::size_t count;
  };

  // `words` are the lattice's points: `elements` levels below `levels`, `stored_bits` apart.
  NearPoints(const std::uint16_t* points, std::size_t count, int elements, int levels,
             int stored_bits, int distances);

  // Number of the point there; -1 if there is none.
  int point(int word) const {
    return place_[static_cast<std::size_t>(word)] < 0 ? -1 : number(word);
  }
  // Of a place without a point.
  List near(int word) const {
    const std::int32_t place = ~place_[static_cast<std::size_t>(word)];
    const auto begin = static_cast<std::size_t>(place);
    return {&lists_[begin + 1], lists_[begin]};
  }

 private:
  int number(int word) const { return place_[static_cast<std::size_t>(word)]; }

  // By word: a point's number, or ~ where its list begins.
  std::vector<std::int32_t> place_;
  std::vector<std::uint16_t> lists_;  // each its length, then words
};

// Made when first asked for.
const NearPoints& near_iq1_points();  // iq1_s and iq1_m
const NearPoints& near_iq2_xxs_points();
const NearPoints& near_iq2_xs_points();
const NearPoints& near_iq2_s_points();
const NearPoints& near_iq3_xxs_points();
const NearPoints& near_iq3_s_points();

}  // namespace ggmlkit
