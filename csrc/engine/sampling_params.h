// What decides which token is drawn; the Python side documents each (ggmlkit/engine/sampling.py).
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace ggmlkit::engine {

enum class SamplingStep {
  penalties,
  dry,
  top_n_sigma,
  top_k,
  typical_p,
  top_p,
  min_p,
  xtc,
  temperature
};

struct SamplingParams {
  std::vector<SamplingStep> steps = {
      SamplingStep::penalties, SamplingStep::dry,       SamplingStep::top_n_sigma,
      SamplingStep::top_k,     SamplingStep::typical_p, SamplingStep::top_p,
      SamplingStep::min_p,     SamplingStep::xtc,       SamplingStep::temperature};
  float temperature = 0.8f;  // 0: always the likeliest token
  float dynatemp_range = 0.0f;
  float dynatemp_exponent = 1.0f;
  std::size_t top_k = 40;    // 0: all
  float top_p = 0.95f;       // 1: all
  float min_p = 0.05f;       // 0: all
  float typical_p = 1.0f;    // 1: all
  float top_n_sigma = 0.0f;  // 0: all
  float xtc_probability = 0.0f;
  float xtc_threshold = 0.1f;
  std::size_t min_keep = 1;  // tokens that no step goes below
  int mirostat = 0;          // 1 or 2: in place of the steps that leave tokens out
  float mirostat_tau = 5.0f;
  float mirostat_eta = 0.1f;
  float repeat_penalty = 1.0f;
  float frequency_penalty = 0.0f;
  float presence_penalty = 0.0f;
  std::size_t repeat_last_n = 64;  // tokens back that the penalties look at
  float dry_multiplier = 0.0f;
  float dry_base = 1.75f;
  std::size_t dry_allowed_length = 2;
  std::size_t dry_penalty_last_n = 0;  // tokens back that DRY looks at
  std::vector<std::int32_t> dry_sequence_breakers;
  std::uint64_t seed = 0;
  std::vector<std::pair<std::int32_t, float>> logit_bias;  // -infinity: never this token
};

}  // namespace ggmlkit::engine
