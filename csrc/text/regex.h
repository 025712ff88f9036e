// Regular expressions of pre-tokenizers: the part of Oniguruma's language that they are written in.
//
// Alternatives are tried in order, with backtracking, as there. Repeated characters are matched in
// a loop, not by recursion, so that the stack stays as deep as the expression whatever the text.
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
  // All that `other` holds.
  void add(const CharacterSet& other);
  // Only what `other` holds as well.
  void limit_to(const CharacterSet& other);
  // All that it does not hold, in its place.
  void invert() { inverted_ = !inverted_; }
  // To be called once after the last change: looks up what each ASCII character is.
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

  // Throws std::invalid_argument for an expression beyond the language.
  explicit Regex(std::string_view expression);

  // Where the match that begins at `at` ends; kNone if there is none. `text` is UTF-8.
  std::size_t match(std::string_view text, std::size_t at) const {
    return match_any(alternatives_, text, at, nullptr);
  }

 private:
  friend class RegexParser;
  enum class Kind : std::uint8_t {
    kCharacters,  // of a set, `least` to `most` of them
    kGroup,       // one of `alternatives`, or, if `least` is 0, nothing
    kAtomic,      // `least` to `most` of a group, whose first match is not given up again
    kAhead,       // what follows matches one of `alternatives`
    kNotAhead,
    kBehind,  // the character before is of the set
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
