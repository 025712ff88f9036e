// The largest of many numbers.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

namespace ggmlkit::engine {

// Of at least one number, none NaN. Several maxima side by side, which compilers make vectors of.
inline float highest(const std::vector<float>& values) {
  std::array<float, 16> lanes;
  lanes.fill(values.front());
  std::size_t i = 0;
  for (; i + lanes.size() <= values.size(); i += lanes.size()) {
    for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
      const float value = values[i + lane];
      lanes[lane] = value > lanes[lane] ? value : lanes[lane];
    }
  }
  float found = lanes[0];
  for (const float lane : lanes) found = lane > found ? lane : found;
  for (; i < values.size(); ++i) found = values[i] > found ? values[i] : found;
  return found;
}

}  // namespace ggmlkit::engine
