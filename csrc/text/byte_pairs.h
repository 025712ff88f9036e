// Byte pair encoding: words become the tokens that merging neighbours by rank leaves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace ggmlkit::text {

class BytePairs {
 public:
  using Token = std::int32_t;

  // The texts must outlive this. Of equal pieces the first counts. `whole_words`: a word that is a
  // piece is that token, whatever the merges would make of it.
  BytePairs(std::size_t pieces, std::size_t merges, bool whole_words);
  void add_piece(std::string_view text, Token token) { tokens_.emplace(text, token); }

  // The next merge in order of preference; throws std::invalid_argument if the vocabulary lacks
  // either piece or what they make together.
  void add_merge(std::string_view left, std::string_view right);

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
  Token token_of(std::string_view text) const;  // -1 if there is none

  bool whole_words_;
  std::uint32_t next_rank_ = 0;
  std::unordered_map<std::string_view, Token> tokens_;
  std::unordered_map<std::uint64_t, Merge> merges_;  // by left << 32 | right
};

}  // namespace ggmlkit::text
