// Probabilities that logits give, before any setting of a sampler.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace ggmlkit::engine {

// log of the probability of a token: natural.
float log_probability(const float* logits, std::size_t n, std::int32_t token);

// The likeliest tokens, the first of equals first, with theirs; fewer where logits are no numbers.
std::vector<std::pair<std::int32_t, float>> top_log_probabilities(const float* logits,
                                                                  std::size_t n, std::size_t top);

}  // namespace ggmlkit::engine
