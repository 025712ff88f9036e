// Byte pair encoding: neighbours are merged in the order of ranks; the rest are a word's tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/fallback.h"
#include "text/hash_index.h"

namespace ggmlkit::text {

class BytePairs {
 public:
  using Token = std::int32_t;
  struct Pair {
    std::string_view left;
    std::string_view right;
  };

  // `pieces[token]` and the merges, in order of preference. Of equal pieces, the first counts;
  // pieces without data are not text. `whole_words`: a word that is a piece becomes that token
  // without merges. Throws std::invalid_argument if a merge's parts or result are not pieces.
  BytePairs(const std::vector<std::string_view>& pieces, const std::vector<Pair>& merges,
            bool whole_words, const Fallback& fallback);

  // Appends a word's tokens.
  void encode(std::string_view word, std::vector<Token>& out) const;

 private:
  struct Merge {
    std::uint64_t pair;  // left << 32 | right
    Token token;
    std::uint32_t rank;
  };
  struct Symbol;
  struct Candidate;
  std::string_view piece(Token token) const;
  Token token_of(std::string_view text) const;  // −1 if there is none
  const Merge* merge_of(Token left, Token right) const;
  void add_merge(const Merge& merge);

  bool whole_words_;
  Fallback fallback_;              // for characters that are not pieces
  std::string texts_;              // of all pieces
  std::vector<std::size_t> ends_;  // of each in `texts_`
  std::vector<Merge> merges_;
  HashIndex tokens_by_text_;
  HashIndex merges_by_pair_;
};

}  // namespace ggmlkit::text
