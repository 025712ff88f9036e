// Byte pair encoding: words become the tokens that merging neighbours by rank leaves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/hash_map.h"

namespace ggmlkit::text {

class BytePairs {
 public:
  using Token = std::int32_t;
  struct Pair {
    std::string_view left;
    std::string_view right;
  };

  // `pieces[token]` and the merges, in order of preference; the texts must outlive this. Of equal
  // pieces the first counts, and those without data are no text. `whole_words`: a word that is a
  // piece is that token, whatever the merges would make of it. Throws std::invalid_argument if a
  // merge joins or makes what is no piece.
  BytePairs(const std::vector<std::string_view>& pieces, const std::vector<Pair>& merges,
            bool whole_words);

  // Appends a word's tokens. Characters that are no piece leave none.
  void encode(std::string_view word, std::vector<Token>& out) const;

 private:
  struct Merge {
    std::uint32_t rank;
    Token token;
  };
  struct Symbol;
  struct Candidate;
  const Merge* merge_of(Token left, Token right) const;

  bool whole_words_;
  HashMap<std::string_view, Token> tokens_;
  HashMap<std::uint64_t, Merge> merges_;  // by left << 32 | right
};

}  // namespace ggmlkit::text
