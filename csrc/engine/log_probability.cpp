#include "engine/log_probability.h"

#include <cmath>
#include <limits>

#include "engine/candidates.h"
#include "engine/highest.h"
#include "kernels/kernel_table.h"

namespace ggmlkit::engine {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

std::vector<float> finite(const float* logits, std::size_t n) {
  std::vector<float> values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = std::isfinite(logits[i]) ? logits[i] : kNever;
  return values;
}

// log of the sum of e^value.
float log_sum(std::vector<float> values) {
  const float most = highest(values);
  if (most == kNever) return std::numeric_limits<float>::infinity();
  return most + std::log(active().exp_and_sum(values.data(), values.size(), most));
}

}  // namespace

float log_probability(const float* logits, std::size_t n, std::int32_t token) {
  const std::vector<float> values = finite(logits, n);
  return values[static_cast<std::size_t>(token)] - log_sum(values);
}

std::vector<std::pair<std::int32_t, float>> top_log_probabilities(const float* logits,
                                                                  std::size_t n, std::size_t top) {
  std::vector<std::pair<std::int32_t, float>> found;
  if (top == 0) return found;
  std::vector<float> values = finite(logits, n);
  const float total = log_sum(values);
  if (std::isinf(total)) return found;
  Candidates candidates;
  candidates.begin(values, 1);
  candidates.keep_top_k(top);
  for (const Candidate& c : candidates.sorted()) {
    found.emplace_back(c.token, static_cast<float>(c.logit) - total);
  }
  return found;
}

}  // namespace ggmlkit::engine
