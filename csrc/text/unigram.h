// SentencePiece's Unigram: splits a text into the pieces with the highest sum of scores.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/piece_trie.h"

namespace ggmlkit::text {

class Unigram {
 public:
  using Token = PieceTrie::Token;
  struct Settings {
    double unknown_score;            // of a character that is not a piece
    Token unknown;                   // kNoToken: such characters are an error
    std::vector<Token> byte_tokens;  // 256 for the bytes of such characters, or none
    bool single_precision;           // sums in float, as in SentencePiece; otherwise in double
  };

  // `scores` has one for each token.
  Unigram(std::vector<PieceTrie::Piece> pieces, std::vector<double> scores, Settings settings);

  // Appends the tokens of a text that is UTF-8. Consecutive characters without a piece become one
  // unknown token. Throws std::invalid_argument if an unknown token is needed and there is none.
  void encode(std::string_view text, std::vector<Token>& out) const;

 private:
  struct Best;
  std::vector<Best> best_ends(std::string_view text) const;
  void add_unknown(std::string_view text, std::vector<Token>& out) const;

  PieceTrie trie_;
  std::vector<double> scores_;
  Settings settings_;
};

}  // namespace ggmlkit::text
