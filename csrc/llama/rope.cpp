#include "llama/rope.h"

#include <algorithm>
#include <cmath>

#include "kernels/kernel_table.h"

namespace ggmlkit::llama {
namespace {

constexpr double kPi = 3.14159265358979323846;

// The pair that makes `turns` full turns within the trained context (Peng et al., "YaRN", 2023).
double pair_of(const RopeConfig& c, double turns) {
  return static_cast<double>(c.dims) * std::log(c.original_context / (turns * 2 * kPi)) /
         (2 * std::log(static_cast<double>(c.base)));
}

}  // namespace

std::vector<double> rope_frequencies(const RopeConfig& c) {
  const auto dims = static_cast<double>(c.dims);
  std::vector<double> all(c.dims / 2);
  const double low =
      c.scaling == RopeScaling::yarn ? std::max(0.0, std::floor(pair_of(c, c.beta_fast))) : 0.0;
  const double high =
      c.scaling == RopeScaling::yarn ? std::min(dims - 1, std::ceil(pair_of(c, c.beta_slow))) : 0.0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto pair = static_cast<double>(i);
    double f = std::pow(static_cast<double>(c.base), -2.0 * pair / dims);
    if (!c.divisors.empty()) f /= c.divisors[i];
    if (c.scaling == RopeScaling::linear) f /= c.factor;
    if (c.scaling == RopeScaling::yarn) {
      const double stretched = std::clamp((pair - low) / std::max(0.001, high - low), 0.0, 1.0);
      f = f * (1 - stretched) + f / c.factor * stretched;
    }
    all[i] = f;
  }
  return all;
}

double rope_magnitude(const RopeConfig& c) {
  // YaRN sharpens attention as the context grows.
  const double yarn =
      c.scaling == RopeScaling::yarn ? 1.0 + 0.1 * std::log(static_cast<double>(c.factor)) : 1.0;
  return yarn * c.attention_factor;
}

Rope::Rope(const RopeConfig& config, std::size_t context)
    : pairs_(config.dims / 2), turns_(context * config.dims) {
  const std::vector<double> frequencies = rope_frequencies(config);
  const double magnitude = rope_magnitude(config);
  float* out = turns_.data();
  for (std::size_t position = 0; position < context; ++position) {
    for (const double frequency : frequencies) {
      const double angle = static_cast<double>(position) * frequency;
      *out++ = static_cast<float>(std::cos(angle) * magnitude);
      *out++ = static_cast<float>(std::sin(angle) * magnitude);
    }
  }
}

void Rope::rotate(float* x, std::size_t heads, std::size_t head_dim, std::size_t position) const {
  const KernelTable& kernels = active();
  const float* turns = turns_.data() + position * pairs_ * 2;
  for (std::size_t h = 0; h < heads; ++h) kernels.rotate(x + h * head_dim, turns, pairs_);
}

}  // namespace ggmlkit::llama
