// Picks the next token from logits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <random>
#include <utility>
#include <vector>

#include "core/thread_pool.h"

namespace ggmlkit::engine {

struct SamplingParams {
  float temperature = 0.8f;  // 0: always the likeliest token
  std::size_t top_k = 40;    // 0: all
  float top_p = 0.95f;       // 1: all
  float min_p = 0.05f;       // 0: all
  float repeat_penalty = 1.0f;
  float frequency_penalty = 0.0f;
  float presence_penalty = 0.0f;
  std::size_t repeat_last_n = 64;  // tokens back that the penalties look at
  std::uint64_t seed = 0;
  std::vector<std::pair<std::int32_t, float>> logit_bias;  // -infinity: never this token
};

class Sampler {
 public:
  // Throws std::invalid_argument for settings out of range.
  explicit Sampler(const SamplingParams& params);

  // Remembers a token for the penalties.
  void accept(std::int32_t token);

  // Biases, penalties, top-k, top-p, min-p, temperature, then one draw. Logits that are no numbers
  // are never drawn. Returns -1 where none is a number.
  std::int32_t sample(const float* logits, std::size_t n);

 private:
  struct Candidate {
    float logit;
    std::int32_t token;
  };
  static bool likelier(const Candidate& a, const Candidate& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
  }
  float& at(std::int32_t token) { return values_[static_cast<std::size_t>(token)]; }
  void read(const float* logits, std::size_t n);
  void penalise();
  void take_top_k();
  void take_all();
  void take_above(float floor);
  void keep_likeliest(double total);
  std::int32_t draw();
  double weight(const Candidate& c) const;
  double uniform();  // in [0, 1), the same on every platform

  SamplingParams params_;
  std::mt19937_64 random_;
  std::deque<std::int32_t> recent_;
  std::vector<float> values_;   // logits, as they are changed
  std::vector<float> weights_;  // e^(value - highest), where all are summed
  float highest_ = 0;           // of the values
  std::vector<Candidate> candidates_;
};

// A token for each row of logits, each with a sampler of its own.
void sample_rows(const std::vector<Sampler*>& samplers, const float* logits, std::size_t vocab,
                 std::int32_t* tokens, ThreadPool& pool);

// log of the probability that the logits give a token: natural, before any setting of a sampler.
float log_probability(const float* logits, std::size_t n, std::int32_t token);

}  // namespace ggmlkit::engine
