#include "text/token_finder.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <queue>
#include <utility>

#include "text/unicode.h"

namespace ggmlkit::text {
namespace {

bool is_ascii_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

std::size_t without_spaces_left(std::string_view text, std::size_t at, std::size_t least) {
  while (at > least && is_white_space(character_at(text, before(text, at)).code)) {
    at = before(text, at);
  }
  return at;
}

std::size_t without_spaces_right(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const Character c = character_at(text, at);
    if (!is_white_space(c.code)) break;
    at += c.bytes;
  }
  return at;
}

bool in_word(std::string_view text, std::size_t begin, std::size_t end) {
  return (begin > 0 && is_word(character_at(text, before(text, begin)).code)) ||
         (end < text.size() && is_word(character_at(text, end).code));
}

}  // namespace

TokenFinder::TokenFinder(std::vector<Pattern> patterns) : patterns_(std::move(patterns)) {
  patterns_.erase(std::remove_if(patterns_.begin(), patterns_.end(),
                                 [](const Pattern& p) { return p.text.empty(); }),
                  patterns_.end());
  // Of equal texts, the first counts.
  std::stable_sort(patterns_.begin(), patterns_.end(),
                   [](const Pattern& a, const Pattern& b) { return a.text < b.text; });
  patterns_.erase(std::unique(patterns_.begin(), patterns_.end(),
                              [](const Pattern& a, const Pattern& b) { return a.text == b.text; }),
                  patterns_.end());
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const auto begins_lower = [&](const Pattern& p) {
      return static_cast<unsigned char>(p.text[0]) <= byte;
    };
    firsts_[byte + 1] = static_cast<std::int32_t>(
        std::partition_point(patterns_.begin(), patterns_.end(), begins_lower) - patterns_.begin());
  }
}

// The patterns that match the text so far are a range, which each further byte narrows. Of patterns
// with the same start, the shortest comes first.
std::int32_t TokenFinder::longest_at(std::string_view text, std::size_t at, std::size_t limit,
                                     bool special) const {
  const auto first_byte = static_cast<unsigned char>(text[at]);
  auto low = patterns_.begin() + firsts_[first_byte];
  auto high = patterns_.begin() + firsts_[first_byte + 1U];
  std::int32_t found = kNone;
  limit = std::min(limit, text.size() - at);
  for (std::size_t depth = 1; low != high && depth <= limit; ++depth) {
    if (low->text.size() == depth) {
      if (special || !low->special) found = static_cast<std::int32_t>(low - patterns_.begin());
      ++low;
    }
    if (depth == limit) break;
    const char byte = text[at + depth];
    const auto lower = [&](const Pattern& p, char b) {
      return static_cast<unsigned char>(p.text[depth]) < static_cast<unsigned char>(b);
    };
    const auto higher = [&](char b, const Pattern& p) {
      return static_cast<unsigned char>(b) < static_cast<unsigned char>(p.text[depth]);
    };
    low = std::lower_bound(low, high, byte, lower);
    high = std::upper_bound(low, high, byte, higher);
  }
  return found;
}

std::vector<TokenFinder::Match> TokenFinder::leftmost_longest(std::string_view text,
                                                              bool special) const {
  std::vector<Match> found;
  std::size_t taken = 0;
  std::size_t spaces_end = 0;  // of the white space that was scanned last
  for (std::size_t at = 0; at < text.size();) {
    const std::int32_t number = longest_at(text, at, text.size(), true);
    if (number == kNone) {
      ++at;
      continue;
    }
    const Pattern& p = pattern(number);
    std::size_t begin = at;
    std::size_t end = at + p.text.size();
    at = end;
    if ((p.special && !special) || (p.single_word && in_word(text, begin, end))) continue;
    if (p.strip_left) begin = std::max(without_spaces_left(text, begin, taken), taken);
    if (p.strip_right) {  // many tokens can be in the same white space
      if (end >= spaces_end) spaces_end = without_spaces_right(text, end);
      end = spaces_end;
    }
    if (begin >= end) continue;  // the token before includes all of it
    found.push_back({begin, end, p.token});
    taken = end;
  }
  return found;
}

struct TokenFinder::Candidate {
  std::size_t length;
  std::int32_t number;
  std::size_t begin;
  Token token;
  // The top of the queue is the longest; of equal lengths, the one with the lowest id, then the
  // first.
  bool operator<(const Candidate& other) const {
    if (length != other.length) return length < other.length;
    return token != other.token ? token > other.token : begin > other.begin;
  }
};

std::vector<TokenFinder::Match> TokenFinder::longest_first(std::string_view text,
                                                           bool special) const {
  std::priority_queue<Candidate> queue;
  const auto consider = [&](std::size_t at, std::size_t limit) {
    const std::int32_t number = longest_at(text, at, limit, special);
    if (number == kNone) return;
    queue.push({pattern(number).text.size(), number, at, pattern(number).token});
  };
  for (std::size_t at = 0; at < text.size(); ++at) consider(at, text.size());
  std::map<std::size_t, Match> taken;
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    const auto after = taken.upper_bound(best.begin);
    const std::size_t left = after == taken.begin() ? 0 : std::prev(after)->second.end;
    const std::size_t right = after == taken.end() ? text.size() : after->first;
    if (left > best.begin) continue;
    if (best.begin + best.length > right) {  // a shorter one can fit before the taken text
      consider(best.begin, right - best.begin);
      continue;
    }
    std::size_t begin = best.begin;
    std::size_t end = best.begin + best.length;
    const Pattern& p = pattern(best.number);
    while (p.strip_left && begin > left && is_ascii_space(text[begin - 1])) --begin;
    while (p.strip_right && end < right && is_ascii_space(text[end])) ++end;
    taken.emplace(begin, Match{begin, end, p.token});
  }
  std::vector<Match> found;
  found.reserve(taken.size());
  for (const auto& [begin, match] : taken) found.push_back(match);
  return found;
}

}  // namespace ggmlkit::text
