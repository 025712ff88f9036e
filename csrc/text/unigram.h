// SentencePiece's Unigram: of all ways to cut a text into pieces, the one whose scores sum highest.
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
    double unknown_score;            // of a character that is no piece
    Token unknown;                   // kNoToken: such characters are an error
    std::vector<Token> byte_tokens;  // 256 to spell such characters with, or none
    bool single_precision;           // sums as SentencePiece has them; otherwise in double
  };

  // `scores` has one for each token.
  Unigram(std::vector<PieceTrie::Piece> pieces, std::vector<double> scores, Settings settings);

  // Appends the tokens of a text that is UTF-8. Neighbours that no piece spells are one unknown
  // token. Throws std::invalid_argument where an unknown token is needed and there is none.
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
