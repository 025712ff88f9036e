#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace ggmlkit::engine {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();
// Tokens that Mirostat 1 estimates the steepness of the probabilities from.
constexpr std::size_t kMirostatTokens = 100;

void require(bool fact, const char* message) {
  if (!fact) throw std::invalid_argument(message);
}

void check(const SamplingParams& p) {
  require(std::isfinite(p.temperature) && std::isfinite(p.dynatemp_range) &&
              std::isfinite(p.dynatemp_exponent),
          "temperatures must be finite numbers");
  require(p.top_p > 0 && p.top_p <= 1, "top_p must be above 0 and at most 1");
  require(p.min_p >= 0 && p.min_p <= 1, "min_p must be between 0 and 1");
  require(p.typical_p > 0 && p.typical_p <= 1, "typical_p must be above 0 and at most 1");
  require(std::isfinite(p.top_n_sigma), "top_n_sigma must be a finite number");
  require(p.xtc_probability >= 0 && p.xtc_probability <= 1,
          "xtc_probability must be between 0 and 1");
  require(p.xtc_threshold > 0 && p.xtc_threshold <= 1,
          "xtc_threshold must be above 0 and at most 1");
  require(p.mirostat >= 0 && p.mirostat <= 2, "mirostat must be 0, 1 or 2");
  require(p.mirostat_tau > 0 && std::isfinite(p.mirostat_tau), "mirostat_tau must be above 0");
  require(p.mirostat_eta > 0 && std::isfinite(p.mirostat_eta), "mirostat_eta must be above 0");
  require(p.repeat_penalty > 0 && std::isfinite(p.repeat_penalty),
          "repeat_penalty must be above 0");
  require(std::isfinite(p.frequency_penalty) && std::isfinite(p.presence_penalty),
          "penalties must be finite numbers");
  require(p.dry_multiplier >= 0 && std::isfinite(p.dry_multiplier),
          "dry_multiplier must be at least 0");
  require(p.dry_base >= 1 && std::isfinite(p.dry_base), "dry_base must be at least 1");
}

}  // namespace

Sampler::Sampler(const SamplingParams& p)
    : params_(p), random_(p.seed), mirostat_mu_(2.0 * p.mirostat_tau) {
  check(p);
}

void Sampler::accept(std::int32_t token) {
  recent_.push_back(token);
  const bool has_dry = params_.dry_multiplier != 0;
  const std::size_t most =
      std::max(params_.repeat_last_n, has_dry ? params_.dry_penalty_last_n : 0);
  if (recent_.size() > most) recent_.pop_front();
}

std::int32_t Sampler::sample(const float* logits, std::size_t n, const std::uint32_t* allowed) {
  read(logits, n, allowed);
  candidates_.begin(values_, params_.min_keep);
  if (!candidates_.has_any()) return -1;
  const bool is_greedy = params_.temperature <= 0;
  const bool leaves_out = !is_greedy && params_.mirostat == 0;
  for (const SamplingStep step : params_.steps) {
    const bool changes_logits = step == SamplingStep::penalties || step == SamplingStep::dry ||
                                step == SamplingStep::temperature;
    if (changes_logits || leaves_out) apply(step);
  }
  if (is_greedy) return candidates_.best();
  return params_.mirostat == 0 ? draw() : draw_by_mirostat();
}

void Sampler::read(const float* logits, std::size_t n, const std::uint32_t* allowed) {
  values_.resize(n);
  for (std::size_t i = 0; i < n; ++i) values_[i] = std::isfinite(logits[i]) ? logits[i] : kNever;
  if (allowed != nullptr) {
    for (std::size_t i = 0; i < n; ++i) {
      if ((allowed[i / 32] >> (i % 32) & 1U) == 0) values_[i] = kNever;
    }
  }
  for (const auto& [token, bias] : params_.logit_bias) {
    if (token < 0 || static_cast<std::size_t>(token) >= n) continue;
    float& value = values_[static_cast<std::size_t>(token)];
    if (value != kNever) value = std::min(value + bias, std::numeric_limits<float>::max());
  }
}

void Sampler::apply(SamplingStep step) {
  const SamplingParams& p = params_;
  switch (step) {
    case SamplingStep::penalties:
      return penalise_recent(p, recent_, candidates_);
    case SamplingStep::dry:
      return penalise_repetition(p, recent_, candidates_);
    case SamplingStep::top_n_sigma:
      return candidates_.keep_top_n_sigma(p.top_n_sigma);
    case SamplingStep::top_k:
      return candidates_.keep_top_k(p.top_k);
    case SamplingStep::typical_p:
      return candidates_.keep_typical(p.typical_p);
    case SamplingStep::top_p:
      return candidates_.keep_top_p(p.top_p);
    case SamplingStep::min_p:
      return candidates_.keep_min_p(p.min_p);
    case SamplingStep::xtc:
      if (p.xtc_probability > 0 && uniform() < p.xtc_probability) {
        candidates_.leave_out_top_choices(p.xtc_threshold);
      }
      return;
    case SamplingStep::temperature:
      if (p.temperature <= 0) return;
      if (p.dynatemp_range <= 0) {
        if (p.temperature != 1) candidates_.divide(p.temperature);
        return;
      }
      const double low = std::max(0.0F, p.temperature - p.dynatemp_range);
      const double high = static_cast<double>(p.temperature) + p.dynatemp_range;
      const double share =
          std::pow(candidates_.entropy_share(), static_cast<double>(p.dynatemp_exponent));
      // A temperature of 0 would divide by it: this is as good as the likeliest alone.
      candidates_.divide(std::max(1e-6, low + (high - low) * share));
  }
}

std::int32_t Sampler::draw() { return candidates_[candidates_.place_at(uniform())].token; }

// Keeps the surprise of the drawn tokens near tau: Mirostat, https://arxiv.org/abs/2007.14966
std::int32_t Sampler::draw_by_mirostat() {
  if (params_.mirostat == 1) {
    candidates_.keep_top_k(mirostat_top_k());
  } else {
    candidates_.keep_surprise_below(mirostat_mu_);
  }
  const std::vector<double> shares = candidates_.probabilities();
  const std::size_t place = candidates_.place_at(uniform());
  mirostat_mu_ -= params_.mirostat_eta * (-std::log2(shares[place]) - params_.mirostat_tau);
  return candidates_[place].token;
}

// Of Zipf-like probabilities, the k whose expected surprise is mu.
std::size_t Sampler::mirostat_top_k() {
  const std::vector<double> shares = candidates_.probabilities();
  double products = 0;
  double squares = 0;
  for (std::size_t i = 0; i + 1 < std::min(kMirostatTokens, shares.size()); ++i) {
    const auto rank = static_cast<double>(i);
    const double t = std::log((rank + 2) / (rank + 1));
    products += t * std::log(shares[i] / shares[i + 1]);
    squares += t * t;
  }
  const double s = squares > 0 ? products / squares : 0;
  const double epsilon = s - 1;
  const double n = static_cast<double>(shares.size());
  const double k =
      std::pow(epsilon * std::pow(2.0, mirostat_mu_) / (1 - std::pow(n, -epsilon)), 1 / s);
  if (!(k >= 1)) return 1;
  return static_cast<std::size_t>(std::min(k, n));
}

double Sampler::uniform() { return static_cast<double>(random_() >> 11U) * 0x1p-53; }

void sample_rows(const std::vector<Sampler*>& samplers, const float* logits, std::size_t vocab,
                 const std::uint32_t* allowed, std::int32_t* tokens, ThreadPool& pool) {
  const std::size_t words = allowed_words(vocab);
  const auto sample = [&](Range rows) {
    for (std::size_t i = rows.begin; i < rows.end; ++i) {
      const std::uint32_t* row = allowed == nullptr ? nullptr : allowed + i * words;
      tokens[i] = samplers[i]->sample(logits + i * vocab, vocab, row);
    }
  };
  if (samplers.size() == 1) {
    sample({0, 1});
    return;
  }
  pool.run([&](int thread, int n) { sample(split(samplers.size(), thread, n)); },
           static_cast<int>(std::min<std::size_t>(samplers.size(), 1024)));
}

}  // namespace ggmlkit::engine
