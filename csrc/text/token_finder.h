// Finds tokens that appear literally in text, such as <|im_end|>, before the text between them is
// encoded.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ggmlkit::text {

class TokenFinder {
 public:
  using Token = std::int32_t;
  struct Pattern {
    std::string text;
    Token token;
    bool special;      // found only if special tokens are parsed
    bool strip_left;   // includes the white space before it
    bool strip_right;  // includes the white space after it
    bool single_word;  // not found inside a word
  };
  // A found token and its range of bytes.
  struct Match {
    std::size_t begin;
    std::size_t end;
    Token token;
  };

  // Patterns without text are left out.
  explicit TokenFinder(std::vector<Pattern> patterns);

  bool empty() const { return patterns_.empty(); }

  // From left to right, the longest at each place, as the tokenizers library does. A token that is
  // not taken, because it is special or inside a word, still hides others within it. A token can
  // begin within the white space that the token before includes.
  std::vector<Match> leftmost_longest(std::string_view text, bool special) const;

  // The longest tokens of the whole text first, then the next longest in the text between them, as
  // llama.cpp does. White space is ASCII's.
  std::vector<Match> longest_first(std::string_view text, bool special) const;

 private:
  static constexpr std::int32_t kNone = -1;
  struct Candidate;
  // Number of the longest pattern of at most `limit` bytes at `at` of `text`, or kNone.
  std::int32_t longest_at(std::string_view text, std::size_t at, std::size_t limit,
                          bool special) const;
  const Pattern& pattern(std::int32_t number) const {
    return patterns_[static_cast<std::size_t>(number)];
  }

  std::vector<Pattern> patterns_;           // in the order of their texts
  std::array<std::int32_t, 257> firsts_{};  // of the patterns that begin with each byte
};

}  // namespace ggmlkit::text
