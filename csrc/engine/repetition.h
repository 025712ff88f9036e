// Steps that make what was said before less likely: penalties of recent tokens, and DRY, which
// penalises tokens that would go on with a repetition.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "engine/candidates.h"
#include "engine/sampling_params.h"

namespace ggmlkit::engine {

using RecentTokens = std::deque<std::int32_t>;

// Divides (negative: multiplies) the logits of recent tokens by repeat_penalty, then subtracts
// presence_penalty, and frequency_penalty for each time one occurred.
void penalise_recent(const SamplingParams& params, const RecentTokens& recent, Candidates& c);

// A token that follows an earlier occurrence of the last n recent tokens, n being the longest:
// subtracts multiplier · base^(n - allowed_length), from n = allowed_length on. Occurrences do not
// reach over a breaker.
void penalise_repetition(const SamplingParams& params, const RecentTokens& recent, Candidates& c);

// For each position of `text`, how many of the elements from it on equal those from the first on;
// text.size() for the first itself.
std::vector<std::size_t> common_beginnings(const std::vector<std::int32_t>& text);

}  // namespace ggmlkit::engine
