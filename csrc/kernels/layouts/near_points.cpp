#include "kernels/layouts/near_points.h"

#include <algorithm>

#include "kernels/layouts/grids/iq1.h"
#include "kernels/layouts/grids/iq2.h"
#include "kernels/layouts/grids/iq3.h"

namespace ggmlkit {
namespace {

constexpr std::size_t kLanes = 8;  // that lists fill
constexpr std::uint16_t kFar = 0xffff;

// A word with its levels `bits` apart, of one with them `stored_bits` apart.
int repacked(int stored, int elements, int stored_bits, int bits) {
  int word = 0;
  for (int e = 0; e < elements; ++e) {
    const int level = (stored >> (stored_bits * e)) & ((1 << stored_bits) - 1);
    word |= level << (bits * e);
  }
  return word;
}

// Squared distances, a level being 1, of words in two halves each of which is looked up.
class Distances {
 public:
  Distances(int elements, int bits) : half_bits_(elements / 2 * bits), size_(1 << half_bits_) {
    table_.resize(static_cast<std::size_t>(size_) * static_cast<std::size_t>(size_));
    for (int a = 0; a < size_; ++a) {
      for (int b = 0; b < size_; ++b) table_[at(a, b)] = between(a, b, elements / 2, bits);
    }
  }

  std::uint16_t operator()(int a, int b) const {
    const int low = size_ - 1;
    const int sum = table_[at(a & low, b & low)] + table_[at(a >> half_bits_, b >> half_bits_)];
    return static_cast<std::uint16_t>(sum);
  }

 private:
  std::size_t at(int a, int b) const {
    return static_cast<std::size_t>(a) * static_cast<std::size_t>(size_) +
           static_cast<std::size_t>(b);
  }

  static std::uint16_t between(int a, int b, int elements, int bits) {
    int sum = 0;
    for (int e = 0; e < elements; ++e) {
      const int mask = (1 << bits) - 1;
      const int difference = ((a >> (bits * e)) & mask) - ((b >> (bits * e)) & mask);
      sum += difference * difference;
    }
    return static_cast<std::uint16_t>(sum);
  }

  int half_bits_;
  int size_;
  std::vector<std::uint16_t> table_;
};

bool is_of_levels(int word, int elements, int levels, int bits) {
  for (int e = 0; e < elements; ++e) {
    if (((word >> (bits * e)) & ((1 << bits) - 1)) >= levels) return false;
  }
  return true;
}

// The least distance above `above`, kFar if there is none.
std::uint16_t next_distance(const std::vector<std::uint16_t>& distances, int above) {
  std::uint16_t least = kFar;
  for (const std::uint16_t d : distances) {
    const std::uint16_t candidate = d > above ? d : kFar;
    least = std::min(least, candidate);
  }
  return least;
}

}  // namespace

NearPoints::NearPoints(const std::uint16_t* points, std::size_t count, int elements, int levels,
                       int stored_bits, int distances) {
  const int bits = levels > 4 ? 3 : 2;
  const Distances between(elements, bits);
  std::vector<int> words(count);
  place_.resize(std::size_t{1} << (bits * elements), -1);
  for (std::size_t p = 0; p < count; ++p) {
    words[p] = repacked(points[p], elements, stored_bits, bits);
    place_[static_cast<std::size_t>(words[p])] = static_cast<std::int32_t>(p);
  }
  std::vector<std::uint16_t> from_here(count);
  for (int word = 0; word < static_cast<int>(place_.size()); ++word) {
    auto& place = place_[static_cast<std::size_t>(word)];
    if (place >= 0 || !is_of_levels(word, elements, levels, bits)) continue;
    const std::size_t begin = lists_.size();
    place = ~static_cast<std::int32_t>(begin);
    for (std::size_t p = 0; p < count; ++p) from_here[p] = between(word, words[p]);
    lists_.push_back(0);
    int distance = -1;
    for (int d = 0; d < distances; ++d) {
      distance = next_distance(from_here, distance);
      if (distance == kFar) break;
      for (std::size_t p = 0; p < count; ++p) {
        if (from_here[p] == distance) lists_.push_back(static_cast<std::uint16_t>(words[p]));
      }
    }
    const std::size_t found = lists_.size() - begin - 1;
    lists_[begin] = static_cast<std::uint16_t>(found);
    const std::uint16_t last = lists_.back();
    lists_.insert(lists_.end(), (kLanes - found % kLanes) % kLanes, last);
  }
}

const NearPoints& near_iq1_points() {
  static const NearPoints near(kIq1Points, std::size(kIq1Points), 8, 3, 2, 3);
  return near;
}
const NearPoints& near_iq2_xxs_points() {
  static const NearPoints near(kIq2XxsPoints, std::size(kIq2XxsPoints), 8, 3, 2, 2);
  return near;
}
const NearPoints& near_iq2_xs_points() {
  static const NearPoints near(kIq2XsPoints, std::size(kIq2XsPoints), 8, 3, 2, 2);
  return near;
}
const NearPoints& near_iq2_s_points() {
  static const NearPoints near(kIq2SPoints, std::size(kIq2SPoints), 8, 3, 2, 1);
  return near;
}
const NearPoints& near_iq3_xxs_points() {
  static const NearPoints near(kIq3XxsPoints, std::size(kIq3XxsPoints), 4, 8, 4, 2);
  return near;
}
const NearPoints& near_iq3_s_points() {
  static const NearPoints near(kIq3SPoints, std::size(kIq3SPoints), 4, 8, 4, 3);
  return near;
}

}  // namespace ggmlkit
