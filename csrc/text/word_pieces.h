// BERT's WordPiece: splits a word, from its start on, into the longest pieces.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "text/piece_trie.h"

namespace ggmlkit::text {

class WordPieces {
 public:
  using Token = PieceTrie::Token;

  // Pieces that begin words start with `mark`. `strict`: they are found at the start of a word
  // only, even if the word itself contains the mark; llama.cpp only compares texts. A word of more
  // than `most` characters, or without fitting pieces, is one unknown token; if `unknown` is
  // kNoToken, such a word is an error.
  WordPieces(std::vector<PieceTrie::Piece> pieces, std::string_view mark, bool strict,
             Token unknown, std::size_t most);

  // Appends the tokens of a word that is UTF-8. Throws std::invalid_argument if an unknown token is
  // needed and there is none.
  void encode(std::string_view word, std::vector<Token>& out) const;

 private:
  bool spell(std::string_view word, std::vector<Token>& out) const;

  PieceTrie trie_;
  PieceTrie::Node beginning_;
  bool strict_;
  Token unknown_;
  std::size_t most_;
};

}  // namespace ggmlkit::text
