// SentencePiece's byte pair encoding: repeatedly joins the neighbours whose joined text is the
// piece with the best score.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/fallback.h"
#include "text/hash_index.h"

namespace ggmlkit::text {

class SentencePieces {
 public:
  using Token = std::int32_t;
  // Which of several pairs that form the same piece comes first.
  enum class Ties : std::uint8_t {
    kLeftmost,   // SentencePiece: the first in the text
    kShortLeft,  // the shortest left part, as the tokenizers library lists merges
    kLongLeft,
  };

  // `pieces[token]`; those without data are not pieces. `scores` has the same length.
  SentencePieces(const std::vector<std::string_view>& pieces, std::vector<float> scores,
                 const Fallback& fallback, Ties ties);

  // Appends the tokens of a text, which is UTF-8.
  void encode(std::string_view text, std::vector<Token>& out) const;

 private:
  struct Symbol;
  struct Candidate;
  struct Work;
  std::string_view piece(Token token) const;
  Token token_of(std::string_view text) const;
  std::size_t word_end(std::string_view text) const;
  void encode_part(std::string_view text, Work& work, std::vector<Token>& out) const;
  void consider(std::ptrdiff_t place, std::string_view text, Work& work) const;

  std::string texts_;
  std::vector<std::size_t> ends_;
  std::vector<float> scores_;
  Fallback fallback_;
  Ties ties_;
  std::size_t longest_ = 0;
  // The characters other than ▁ that are followed by ▁ in some piece, in order.
  std::vector<char32_t> before_space_;
  HashIndex tokens_by_text_;
};

}  // namespace ggmlkit::text
