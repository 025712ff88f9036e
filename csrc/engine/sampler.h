// Picks the next token from logits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <random>
#include <vector>

namespace ggmlkit::engine {

struct SamplerConfig {
  float temperature = 0.8f;  // 0 or less: always the likeliest token
  std::size_t top_k = 40;    // 0: all
  float top_p = 0.95f;       // 1: all
  float min_p = 0.05f;       // 0: all
  float repeat_penalty = 1.0f;
  float frequency_penalty = 0.0f;
  float presence_penalty = 0.0f;
  std::size_t penalty_window = 64;  // tokens back that the penalties look at
  std::uint64_t seed = 0;
};

class Sampler {
 public:
  // Throws std::invalid_argument for settings out of range.
  explicit Sampler(const SamplerConfig& config);

  // Remembers a token for the penalties.
  void accept(std::int32_t token);

  // Penalties, top-k, top-p, min-p, temperature, then one draw. Throws std::domain_error where
  // no logit is a number.
  std::int32_t sample(const float* logits, std::size_t n);

 private:
  struct Candidate {
    float logit;
    std::int32_t token;
  };
  void penalise();
  void keep_likeliest();
  std::int32_t draw();
  double uniform();  // in [0, 1), the same on every platform

  SamplerConfig config_;
  std::mt19937_64 random_;
  std::deque<std::int32_t> recent_;
  std::vector<Candidate> candidates_;
};

}  // namespace ggmlkit::engine
