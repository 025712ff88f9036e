// BERT's WordPiece: a word is cut, from its beginning on, into the longest pieces.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "text/piece_trie.h"

namespace ggmlkit::text {

class WordPieces {
 public:
  using Token = PieceTrie::Token;

  // Pieces that begin words begin with `mark`. `strict`: no other place of a word has these, even
  // where its own letters are the mark; llama.cpp tells them apart by their texts alone. A word of
  // more than `most` characters, or that the pieces don't spell to its end, is one unknown token;
  // kNoToken: such words are an error.
  WordPieces(std::vector<PieceTrie::Piece> pieces, std::string_view mark, bool strict,
             Token unknown, std::size_t most);

  // Appends the tokens of a word that is UTF-8. Throws std::invalid_argument where an unknown token
  // is needed and there is none.
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
