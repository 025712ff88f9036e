#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <unordered_map>

#include "kernels/kernel_table.h"

namespace ggmlkit::engine {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

// How far below the likeliest the search for the top-p tokens goes at a time: a token there has
// 1/3000 of its weight.
constexpr float kSearchStep = 8.0f;

void require(bool fact, const char* message) {
  if (!fact) throw std::invalid_argument(message);
}

}  // namespace

Sampler::Sampler(const SamplingParams& p) : params_(p), random_(p.seed) {
  require(std::isfinite(p.temperature), "temperature must be a finite number");
  require(p.top_p > 0 && p.top_p <= 1, "top_p must be above 0 and at most 1");
  require(p.min_p >= 0 && p.min_p <= 1, "min_p must be between 0 and 1");
  require(p.repeat_penalty > 0 && std::isfinite(p.repeat_penalty),
          "repeat_penalty must be above 0");
  require(std::isfinite(p.frequency_penalty) && std::isfinite(p.presence_penalty),
          "penalties must be finite numbers");
}

void Sampler::accept(std::int32_t token) {
  recent_.push_back(token);
  if (recent_.size() > params_.repeat_last_n) recent_.pop_front();
}

std::int32_t Sampler::sample(const float* logits, std::size_t n) {
  read(logits, n);
  penalise();
  const auto likeliest = std::max_element(values_.begin(), values_.end());
  highest_ = *likeliest;
  if (highest_ == kNever) return -1;
  // The first of equals, as numpy's argmax.
  if (params_.temperature <= 0) return static_cast<std::int32_t>(likeliest - values_.begin());
  if (params_.top_k > 0 && params_.top_k < n) {
    take_top_k();
  } else {
    take_all();
  }
  return draw();
}

void Sampler::read(const float* logits, std::size_t n) {
  values_.resize(n);
  for (std::size_t i = 0; i < n; ++i) values_[i] = std::isfinite(logits[i]) ? logits[i] : kNever;
  for (const auto& [token, bias] : params_.logit_bias) {
    if (token < 0 || static_cast<std::size_t>(token) >= n || at(token) == kNever) continue;
    at(token) = std::min(at(token) + bias, std::numeric_limits<float>::max());
  }
}

void Sampler::penalise() {
  const SamplingParams& p = params_;
  if (p.repeat_penalty == 1 && p.frequency_penalty == 0 && p.presence_penalty == 0) return;
  std::unordered_map<std::int32_t, int> counts;
  for (const std::int32_t token : recent_) ++counts[token];
  for (const auto& [token, count] : counts) {
    if (token < 0 || static_cast<std::size_t>(token) >= values_.size()) continue;
    float& value = at(token);
    if (value == kNever) continue;
    value = value > 0 ? value / p.repeat_penalty : value * p.repeat_penalty;
    value -= static_cast<float>(count) * p.frequency_penalty + p.presence_penalty;
    if (!std::isfinite(value)) value = value > 0 ? std::numeric_limits<float>::max() : kNever;
  }
}

// In one pass: what is no likelier than the top_k found so far is passed over.
void Sampler::take_top_k() {
  const std::size_t k = params_.top_k;
  const auto end_of_k = [&] { return candidates_.begin() + static_cast<std::ptrdiff_t>(k); };
  const auto keep_k = [&] {
    std::nth_element(candidates_.begin(), end_of_k() - 1, candidates_.end(), likelier);
    candidates_.resize(k);
  };
  candidates_.clear();
  float floor = kNever;
  const std::size_t most = k + std::max<std::size_t>(k, 1024);
  for (std::size_t i = 0; i < values_.size(); ++i) {
    if (!(values_[i] > floor)) continue;
    candidates_.push_back({values_[i], static_cast<std::int32_t>(i)});
    if (candidates_.size() < most) continue;
    keep_k();
    floor = candidates_[k - 1].logit;
  }
  if (candidates_.size() > k) keep_k();
  std::sort(candidates_.begin(), candidates_.end(), likelier);
  double total = 0;
  for (const Candidate& c : candidates_) total += weight(c);
  keep_likeliest(total);
}

// Without sorting what top-p and min-p leave out.
void Sampler::take_all() {
  const double lowest = params_.min_p > 0 ? std::log(params_.min_p) : kNever;
  if (params_.top_p == 1) {
    take_above(static_cast<float>(highest_ + lowest));
    return;
  }
  candidates_.clear();
  weights_ = values_;
  const double total = active().exp_and_sum(weights_.data(), weights_.size(), highest_);
  for (float below = kSearchStep;; below *= 2) {
    const bool is_end = -below <= lowest || candidates_.size() == values_.size();
    take_above(is_end ? static_cast<float>(highest_ + lowest) : highest_ - below);
    std::sort(candidates_.begin(), candidates_.end(), likelier);
    double sum = 0;
    for (const Candidate& c : candidates_) sum += weight(c);
    if (is_end || sum >= params_.top_p * total || below > 1e30f) break;
  }
  keep_likeliest(total);
}

void Sampler::take_above(float floor) {
  candidates_.clear();
  for (std::size_t i = 0; i < values_.size(); ++i) {
    const bool is_above = values_[i] >= floor && values_[i] != kNever;
    if (is_above) candidates_.push_back({values_[i], static_cast<std::int32_t>(i)});
  }
}

// Of sorted candidates. top-p keeps the token that crosses the sum; min-p compares with the
// likeliest, which is e^0.
void Sampler::keep_likeliest(double total) {
  std::size_t keep = 0;
  double before = 0;
  for (; keep < candidates_.size(); ++keep) {
    const double w = weight(candidates_[keep]);
    const bool past_top_p = params_.top_p < 1 && before >= params_.top_p * total;
    if (keep > 0 && (past_top_p || w < params_.min_p)) break;
    before += w;
  }
  candidates_.resize(keep);
}

double Sampler::weight(const Candidate& c) const {
  return std::exp(static_cast<double>(c.logit) - highest_);
}

std::int32_t Sampler::draw() {
  const auto share = [&](const Candidate& c) {
    return std::exp((static_cast<double>(c.logit) - highest_) / params_.temperature);
  };
  double total = 0;
  for (const Candidate& c : candidates_) total += share(c);
  double left = uniform() * total;
  for (const Candidate& c : candidates_) {
    left -= share(c);
    if (left < 0) return c.token;
  }
  return candidates_.back().token;
}

double Sampler::uniform() { return static_cast<double>(random_() >> 11U) * 0x1p-53; }

void sample_rows(const std::vector<Sampler*>& samplers, const float* logits, std::size_t vocab,
                 std::int32_t* tokens, ThreadPool& pool) {
  const auto sample = [&](Range rows) {
    for (std::size_t i = rows.begin; i < rows.end; ++i) {
      tokens[i] = samplers[i]->sample(logits + i * vocab, vocab);
    }
  };
  if (samplers.size() == 1) {
    sample({0, 1});
    return;
  }
  pool.run([&](int thread, int n) { sample(split(samplers.size(), thread, n)); },
           static_cast<int>(std::min<std::size_t>(samplers.size(), 1024)));
}

float log_probability(const float* logits, std::size_t n, std::int32_t token) {
  std::vector<float> weights(n);
  for (std::size_t i = 0; i < n; ++i) weights[i] = std::isfinite(logits[i]) ? logits[i] : kNever;
  const float highest = *std::max_element(weights.begin(), weights.end());
  const float own = weights[static_cast<std::size_t>(token)];
  if (highest == kNever) return kNever;
  return own - highest - std::log(active().exp_and_sum(weights.data(), n, highest));
}

}  // namespace ggmlkit::engine
