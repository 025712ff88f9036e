// Counts checks and prints the first that fail.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

namespace ggmlkit::check {

class Report {
 public:
  void expect(bool good, const std::string& what) {
    ++checks_;
    if (good) return;
    if (++failures_ <= kShown) std::printf("  wrong: %s\n", what.c_str());
  }
  int checks() const { return checks_; }
  int failures() const { return failures_; }

 private:
  static constexpr int kShown = 20;
  int checks_ = 0;
  int failures_ = 0;
};

template <class T>
bool same_bytes(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

// The same bits, or NaN both.
inline bool same_floats(const std::vector<float>& a, const std::vector<float>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    const bool nan = std::isnan(a[i]) && std::isnan(b[i]);
    if (!nan && std::memcmp(&a[i], &b[i], sizeof(float)) != 0) return false;
  }
  return a.size() == b.size();
}

// |a - b| ≤ relative · |b| + absolute, everywhere.
inline bool close_floats(const std::vector<float>& a, const std::vector<float>& b, float relative,
                         float absolute) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!(std::fabs(a[i] - b[i]) <= relative * std::fabs(b[i]) + absolute)) return false;
  }
  return a.size() == b.size();
}

}  // namespace ggmlkit::check
