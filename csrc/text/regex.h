// Regular expressions of pre-tokenizers: the part of Oniguruma's language that they use.
//
// As in Oniguruma, alternatives are tried in order, with backtracking. Repeated characters are
// matched in a loop, not by recursion, so the stack depth depends on the expression only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/unicode.h"

namespace ggmlkit::text {

// A set of characters.
class CharacterSet {
 public:
  void add_range(char32_t first, char32_t last);
  void add_categories(std::uint32_t categories);
  // Adds all characters of `other`.
  void add(const CharacterSet& other);
  // Keeps only the characters that are also in `other`.
  void limit_to(const CharacterSet& other);
  // Replaces the set by its complement.
  void invert() { inverted_ = !inverted_; }
  // Call once after the last change: makes the table for ASCII characters.
  void finish();

  bool has(char32_t code) const {
    return code < 0x80 ? (ascii_[code / 64] >> code % 64 & 1) != 0 : contains(code);
  }

 private:
  struct Range {
    char32_t first;
    char32_t last;
  };
  bool contains(char32_t code) const;

  std::uint32_t categories_ = 0;
  std::vector<Range> ranges_;
  std::vector<CharacterSet> others_;
  std::vector<CharacterSet> limits_;
  bool inverted_ = false;
  std::array<std::uint64_t, 2> ascii_{};
};

class Regex {
 public:
  static constexpr std::size_t kNone = ~std::size_t{0};

  // Throws std::invalid_argument for an expression that is not supported.
  explicit Regex(std::string_view expression);

  // The end of the match that begins at `at`; kNone if there is none. `text` is UTF-8.
  std::size_t match(std::string_view text, std::size_t at) const {
    return match_any(alternatives_, text, at, nullptr);
  }

 private:
  friend class RegexParser;
  enum class Kind : std::uint8_t {
    kCharacters,  // of a set, `least` to `most` of them
    kGroup,       // one of `alternatives`, or, if `least` is 0, nothing
    kAtomic,      // `least` to `most` of a group; no backtracking into it
    kAhead,       // what follows matches one of `alternatives`
    kNotAhead,
    kBehind,  // the character before is in the set
    kNotBehind,
    kLineEnd,  // the end, or before a line feed
    kTextEnd,
    kLineStart,
    kTextStart,
  };
  struct Node;
  using Sequence = std::vector<Node>;
  struct Node {
    Kind kind;
    CharacterSet set;
    std::uint32_t least = 1;
    std::uint32_t most = 1;
    bool lazy = false;
    bool possessive = false;
    std::vector<Sequence> alternatives{};
  };
  // What is left to match after the end of a sequence.
  struct Rest {
    const Sequence* nodes;
    std::size_t next;
    const Rest* outer;
  };

  static std::size_t match_any(const std::vector<Sequence>& alternatives, std::string_view text,
                               std::size_t at, const Rest* rest);
  static std::size_t match_from(const Sequence& nodes, std::size_t next, std::string_view text,
                                std::size_t at, const Rest* rest);
  static std::size_t match_characters(const Sequence& nodes, std::size_t next,
                                      std::string_view text, std::size_t at, const Rest* rest);
  static bool holds(const Node& node, std::string_view text, std::size_t at);

  std::vector<Sequence> alternatives_;
};

}  // namespace ggmlkit::text
