#include "text/regex.h"

#include <algorithm>

namespace ggmlkit::text {

void CharacterSet::add_range(char32_t first, char32_t last) { ranges_.push_back({first, last}); }

void CharacterSet::add_categories(std::uint32_t categories) { categories_ |= categories; }

void CharacterSet::add(const CharacterSet& other) { others_.push_back(other); }

void CharacterSet::limit_to(const CharacterSet& other) { limits_.push_back(other); }

void CharacterSet::finish() {
  ascii_ = {};
  for (char32_t code = 0; code < 0x80; ++code) {
    if (contains(code)) ascii_[code / 64] |= std::uint64_t{1} << code % 64;
  }
}

bool CharacterSet::contains(char32_t code) const {
  const bool added =
      (categories_ != 0 && (mask_of(category_of(code)) & categories_) != 0) ||
      std::any_of(ranges_.begin(), ranges_.end(),
                  [&](const Range& r) { return code >= r.first && code <= r.last; }) ||
      std::any_of(others_.begin(), others_.end(),
                  [&](const CharacterSet& other) { return other.contains(code); });
  const bool found =
      added && std::all_of(limits_.begin(), limits_.end(),
                           [&](const CharacterSet& limit) { return limit.contains(code); });
  return found != inverted_;
}

std::size_t Regex::match_any(const std::vector<Sequence>& alternatives, std::string_view text,
                             std::size_t at, const Rest* rest) {
  for (const Sequence& nodes : alternatives) {
    const std::size_t end = match_from(nodes, 0, text, at, rest);
    if (end != kNone) return end;
  }
  return kNone;
}

std::size_t Regex::match_from(const Sequence& nodes, std::size_t next, std::string_view text,
                              std::size_t at, const Rest* rest) {
  if (next == nodes.size()) {
    return rest == nullptr ? at : match_from(*rest->nodes, rest->next, text, at, rest->outer);
  }
  const Node& node = nodes[next];
  switch (node.kind) {
    case Kind::kCharacters:
      return match_characters(nodes, next, text, at, rest);
    case Kind::kGroup: {
      const Rest after{&nodes, next + 1, rest};
      const std::size_t end = match_any(node.alternatives, text, at, &after);
      if (end != kNone || node.least > 0) return end;
      return match_from(nodes, next + 1, text, at, rest);
    }
    case Kind::kAtomic: {
      std::uint32_t count = 0;
      for (std::size_t end = at; count < node.most && end != kNone;) {
        end = match_any(node.alternatives, text, at, nullptr);
        if (end == kNone) break;
        ++count;
        if (end == at) break;  // an empty match would repeat forever
        at = end;
      }
      if (count < node.least) return kNone;
      return match_from(nodes, next + 1, text, at, rest);
    }
    default:
      return holds(node, text, at) ? match_from(nodes, next + 1, text, at, rest) : kNone;
  }
}

// Tries the most characters first, then fewer and fewer until the rest matches; a lazy one tries
// the fewest first.
std::size_t Regex::match_characters(const Sequence& nodes, std::size_t next, std::string_view text,
                                    std::size_t at, const Rest* rest) {
  const Node& node = nodes[next];
  const auto take = [&](std::size_t& end) {
    if (end >= text.size()) return false;
    const Character c = character_at(text, end);
    if (!node.set.has(c.code)) return false;
    end += c.bytes;
    return true;
  };
  std::size_t end = at;
  std::uint32_t count = 0;
  while (count < node.least) {
    if (!take(end)) return kNone;
    ++count;
  }
  if (node.lazy) {
    for (;; ++count) {
      const std::size_t found = match_from(nodes, next + 1, text, end, rest);
      if (found != kNone || count == node.most || !take(end)) return found;
    }
  }
  const std::size_t shortest = end;
  while (count < node.most && take(end)) ++count;
  for (;;) {
    const std::size_t found = match_from(nodes, next + 1, text, end, rest);
    if (found != kNone || end == shortest || node.possessive) return found;
    end = before(text, end);
  }
}

bool Regex::holds(const Node& node, std::string_view text, std::size_t at) {
  switch (node.kind) {
    case Kind::kAhead:
    case Kind::kNotAhead:
      return (match_any(node.alternatives, text, at, nullptr) != kNone) ==
             (node.kind == Kind::kAhead);
    case Kind::kBehind:
    case Kind::kNotBehind:
      return (at > 0 && node.set.has(character_at(text, before(text, at)).code)) ==
             (node.kind == Kind::kBehind);
    case Kind::kLineEnd:
      return at == text.size() || text[at] == '\n';
    case Kind::kLineStart:
      return at == 0 || text[at - 1] == '\n';
    case Kind::kTextStart:
      return at == 0;
    default:
      return at == text.size();
  }
}

}  // namespace ggmlkit::text
