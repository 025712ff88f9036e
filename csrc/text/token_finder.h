// Finds tokens that stand in text as they are, such as <|im_end|>, before the text between them is
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
    bool special;      // found only where special tokens are wanted
    bool strip_left;   // takes the white space before it along
    bool strip_right;  // … after it
    bool single_word;  // no part of a word
  };
  // A found token and the bytes that it takes.
  struct Match {
    std::size_t begin;
    std::size_t end;
    Token token;
  };

  // Patterns without text are left out.
  explicit TokenFinder(std::vector<Pattern> patterns);

  bool empty() const { return patterns_.empty(); }

  // From left to right, at each place the longest. This is the tokenizers library's way; there a
  // token that is not taken, being special or part of a word, still hides others within it, and one
  // may begin within the white space that the one before took.
  std::vector<Match> leftmost_longest(std::string_view text, bool special) const;

  // The longest tokens of the whole text first, then the next longest in what is left between them,
  // which is llama.cpp's way. Its white space is ASCII's.
  std::vector<Match> longest_first(std::string_view text, bool special) const;

 private:
  static constexpr std::int32_t kNone = -1;
  struct Candidate;
  // Number of the longest pattern of at most `limit` bytes that `text` has at `at`; kNone.
  std::int32_t longest_at(std::string_view text, std::size_t at, std::size_t limit,
                          bool special) const;
  const Pattern& pattern(std::int32_t number) const {
    return patterns_[static_cast<std::size_t>(number)];
  }

  std::vector<Pattern> patterns_;           // in the order of their texts
  std::array<std::int32_t, 257> firsts_{};  // of the patterns that begin with each byte
};

}  // namespace ggmlkit::text
