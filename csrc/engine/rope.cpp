#include "engine/rope.h"

#include <algorithm>
#include <cmath>

#include "kernels/kernel_table.h"

namespace ggmlkit::engine {
namespace {

constexpr double kPi = 3.14159265358979323846;

// The pair that makes `turns` full turns within the trained context (Peng et al., "YaRN", 2023).
double pair_of(const RopeConfig& c, double turns) {
  return static_cast<double>(c.dims) * std::log(c.original_context / (turns * 2 * kPi)) /
         (2 * std::log(static_cast<double>(c.base)));
}

const std::vector<float>& factors_for(const RopeConfig& c, std::size_t context) {
  const bool is_long = static_cast<double>(context) > static_cast<double>(c.original_context);
  return is_long && !c.long_freq_factors.empty() ? c.long_freq_factors : c.freq_factors;
}

}  // namespace

std::vector<double> rope_frequencies(const RopeConfig& c, std::size_t context) {
  const std::vector<float>& factors = factors_for(c, context);
  const auto dims = static_cast<double>(c.dims);
  std::vector<double> all(c.dims / 2);
  const double low =
      c.scaling == RopeScaling::yarn ? std::max(0.0, std::floor(pair_of(c, c.beta_fast))) : 0.0;
  const double high =
      c.scaling == RopeScaling::yarn ? std::min(dims - 1, std::ceil(pair_of(c, c.beta_slow))) : 0.0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto pair = static_cast<double>(i);
    double f = std::pow(static_cast<double>(c.base), -2.0 * pair / dims);
    if (!factors.empty()) f /= factors[i];
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
    : frequencies_(rope_frequencies(config, context)),
      magnitude_(rope_magnitude(config)),
      context_(context),
      pairs_(config.pairs),
      turns_(context * config.dims),
      computed_((context + kPositions - 1) / kPositions) {}

void Rope::compute(std::size_t block) const {
  const std::size_t begin = block * kPositions;
  const std::size_t pairs = frequencies_.size();
  const bool halves = pairs_ == RopePairs::halves;
  float* out = turns_.data() + begin * pairs * 2;
  for (std::size_t position = begin; position < std::min(begin + kPositions, context_);
       ++position, out += 2 * pairs) {
    for (std::size_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(position) * frequencies_[i];
      out[halves ? i : 2 * i] = static_cast<float>(std::cos(angle) * magnitude_);
      out[halves ? i + pairs : 2 * i + 1] = static_cast<float>(std::sin(angle) * magnitude_);
    }
  }
}

const float* Rope::turns_at(std::size_t position) const {
  const std::size_t block = position / kPositions;
  if (!computed_[block].load(std::memory_order_acquire)) {
    const std::lock_guard<std::mutex> lock(computing_);
    if (!computed_[block].load(std::memory_order_relaxed)) {
      compute(block);
      computed_[block].store(true, std::memory_order_release);
    }
  }
  return turns_.data() + position * frequencies_.size() * 2;
}

void Rope::rotate(float* x, std::size_t heads, std::size_t head_dim, std::size_t position) const {
  const KernelTable& kernels = active();
  const float* turns = turns_at(position);
  const auto turn = pairs_ == RopePairs::halves ? kernels.rotate_halves : kernels.rotate;
  for (std::size_t h = 0; h < heads; ++h) turn(x + h * head_dim, turns, frequencies_.size());
}

}  // namespace ggmlkit::engine
