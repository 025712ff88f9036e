// Picks the next token from logits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "core/thread_pool.h"
#include "engine/candidates.h"
#include "engine/repetition.h"
#include "engine/sampling_params.h"

namespace ggmlkit::engine {

class Sampler {
 public:
  // Throws std::invalid_argument for settings out of range.
  explicit Sampler(const SamplingParams& params);

  // Remembers a token for the penalties.
  void accept(std::int32_t token);

  // Biases, the steps in their order, then one draw. Logits that are no numbers are never drawn,
  // nor tokens whose bit of `allowed` is 0: bit i % 32 of word i / 32; null: all are allowed.
  // Returns -1 where none is left.
  std::int32_t sample(const float* logits, std::size_t n, const std::uint32_t* allowed = nullptr);

 private:
  void read(const float* logits, std::size_t n, const std::uint32_t* allowed);
  void apply(SamplingStep step);
  std::int32_t draw();
  std::int32_t draw_by_mirostat();
  std::size_t mirostat_top_k();
  double uniform();  // in [0, 1), the same on every platform

  SamplingParams params_;
  std::mt19937_64 random_;
  RecentTokens recent_;
  std::vector<float> values_;  // logits, as biases and penalties change them
  Candidates candidates_;
  double mirostat_mu_;  // bits of surprise that are allowed
};

// A token for each row of logits, each with a sampler of its own; `allowed`, where it is not null,
// has a row of words for each.
void sample_rows(const std::vector<Sampler*>& samplers, const float* logits, std::size_t vocab,
                 const std::uint32_t* allowed, std::int32_t* tokens, ThreadPool& pool);

constexpr std::size_t allowed_words(std::size_t vocab) { return (vocab + 31) / 32; }

}  // namespace ggmlkit::engine
