#include "engine/repetition.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

namespace ggmlkit::engine {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

// The last n tokens, the last first.
std::vector<std::int32_t> last(const RecentTokens& recent, std::size_t n) {
  std::vector<std::int32_t> text(
      recent.rbegin(), recent.rbegin() + static_cast<std::ptrdiff_t>(std::min(n, recent.size())));
  return text;
}

template <class Value>
std::vector<std::int32_t> keys_of(const std::unordered_map<std::int32_t, Value>& map) {
  std::vector<std::int32_t> keys;
  keys.reserve(map.size());
  for (const auto& entry : map) keys.push_back(entry.first);
  return keys;
}

// A logit that no penalty made infinite.
double bounded(double logit) {
  if (logit == kNever) return logit;
  constexpr double most = std::numeric_limits<float>::max();
  return std::clamp(logit, -most, most);
}

}  // namespace

void penalise_recent(const SamplingParams& p, const RecentTokens& recent, Candidates& c) {
  if (p.repeat_penalty == 1 && p.frequency_penalty == 0 && p.presence_penalty == 0) return;
  std::unordered_map<std::int32_t, int> counts;
  for (const std::int32_t token : last(recent, p.repeat_last_n)) ++counts[token];
  c.change(keys_of(counts), [&](std::int32_t token, double logit) {
    logit = logit > 0 ? logit / p.repeat_penalty : logit * p.repeat_penalty;
    logit -= static_cast<double>(counts[token]) * p.frequency_penalty + p.presence_penalty;
    return bounded(logit);
  });
}

void penalise_repetition(const SamplingParams& p, const RecentTokens& recent, Candidates& c) {
  if (p.dry_multiplier == 0) return;
  const std::vector<std::int32_t> text = last(recent, p.dry_penalty_last_n);
  const auto is_breaker = [&](std::int32_t token) {
    return std::find(p.dry_sequence_breakers.begin(), p.dry_sequence_breakers.end(), token) !=
           p.dry_sequence_breakers.end();
  };
  const auto most =
      static_cast<std::size_t>(std::find_if(text.begin(), text.end(), is_breaker) - text.begin());
  if (most < p.dry_allowed_length) return;
  std::unordered_map<std::int32_t, std::size_t> longest;
  const std::vector<std::size_t> equal = common_beginnings(text);
  for (std::size_t i = 1; i < text.size(); ++i) {
    const std::size_t n = std::min(equal[i], most);
    if (n < std::max<std::size_t>(1, p.dry_allowed_length) || is_breaker(text[i - 1])) continue;
    std::size_t& found = longest[text[i - 1]];
    found = std::max(found, n);
  }
  c.change(keys_of(longest), [&](std::int32_t token, double logit) {
    const auto beyond = static_cast<double>(longest[token] - p.dry_allowed_length);
    return bounded(logit - p.dry_multiplier * std::pow(static_cast<double>(p.dry_base), beyond));
  });
}

// The Z algorithm: `end` is that of the furthest stretch known to equal the beginning.
std::vector<std::size_t> common_beginnings(const std::vector<std::int32_t>& text) {
  std::vector<std::size_t> equal(text.size(), text.size());
  std::size_t begin = 0;
  std::size_t end = 0;
  for (std::size_t i = 1; i < text.size(); ++i) {
    std::size_t n = i < end ? std::min(end - i, equal[i - begin]) : 0;
    while (i + n < text.size() && text[n] == text[i + n]) ++n;
    equal[i] = n;
    if (i + n > end) {
      begin = i;
      end = i + n;
    }
  }
  return equal;
}

}  // namespace ggmlkit::engine
