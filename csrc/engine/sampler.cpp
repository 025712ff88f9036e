#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <unordered_map>

namespace ggmlkit::engine {
namespace {

void require(bool fact, const char* message) {
  if (!fact) throw std::invalid_argument(message);
}

}  // namespace

Sampler::Sampler(const SamplerConfig& c) : config_(c), random_(c.seed) {
  require(std::isfinite(c.temperature), "temperature must be a finite number");
  require(c.top_p > 0 && c.top_p <= 1, "top_p must be above 0 and at most 1");
  require(c.min_p >= 0 && c.min_p <= 1, "min_p must be between 0 and 1");
  require(c.repeat_penalty > 0 && std::isfinite(c.repeat_penalty),
          "repeat_penalty must be above 0");
  require(std::isfinite(c.frequency_penalty) && std::isfinite(c.presence_penalty),
          "penalties must be finite numbers");
}

void Sampler::accept(std::int32_t token) {
  recent_.push_back(token);
  if (recent_.size() > config_.penalty_window) recent_.pop_front();
}

std::int32_t Sampler::sample(const float* logits, std::size_t n) {
  candidates_.clear();
  for (std::size_t i = 0; i < n; ++i) {
    if (std::isfinite(logits[i])) {
      candidates_.push_back({logits[i], static_cast<std::int32_t>(i)});
    }
  }
  if (candidates_.empty()) throw std::domain_error("no logit is a number");
  penalise();
  if (config_.temperature <= 0) {
    // The first of equals, as numpy's argmax.
    return std::max_element(
               candidates_.begin(), candidates_.end(),
               [](const Candidate& a, const Candidate& b) { return a.logit < b.logit; })
        ->token;
  }
  keep_likeliest();
  return draw();
}

void Sampler::penalise() {
  std::unordered_map<std::int32_t, int> counts;
  for (const std::int32_t token : recent_) ++counts[token];
  for (Candidate& c : candidates_) {
    const auto found = counts.find(c.token);
    if (found == counts.end()) continue;
    c.logit = c.logit > 0 ? c.logit / config_.repeat_penalty : c.logit * config_.repeat_penalty;
    c.logit -= static_cast<float>(found->second) * config_.frequency_penalty;
    c.logit -= config_.presence_penalty;
  }
}

void Sampler::keep_likeliest() {
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
  };
  if (config_.top_k > 0 && config_.top_k < candidates_.size()) {
    std::nth_element(candidates_.begin(),
                     candidates_.begin() + static_cast<std::ptrdiff_t>(config_.top_k),
                     candidates_.end(), likelier);
    candidates_.resize(config_.top_k);
  }
  std::sort(candidates_.begin(), candidates_.end(), likelier);
  const double highest = candidates_.front().logit;
  double total = 0;
  for (const Candidate& c : candidates_) total += std::exp(c.logit - highest);
  std::size_t keep = 0;
  double before = 0;
  // top-p keeps the token that crosses the sum; min-p compares with the likeliest, which is e^0.
  for (; keep < candidates_.size(); ++keep) {
    const double weight = std::exp(candidates_[keep].logit - highest);
    const bool past_top_p = config_.top_p < 1 && before >= config_.top_p * total;
    if (keep > 0 && (past_top_p || weight < config_.min_p)) break;
    before += weight;
  }
  candidates_.resize(keep);
}

std::int32_t Sampler::draw() {
  const double highest = candidates_.front().logit;
  const auto weight = [&](const Candidate& c) {
    return std::exp((c.logit - highest) / config_.temperature);
  };
  double total = 0;
  for (const Candidate& c : candidates_) total += weight(c);
  double left = uniform() * total;
  for (const Candidate& c : candidates_) {
    left -= weight(c);
    if (left < 0) return c.token;
  }
  return candidates_.back().token;
}

double Sampler::uniform() { return static_cast<double>(random_() >> 11U) * 0x1p-53; }

}  // namespace ggmlkit::engine
