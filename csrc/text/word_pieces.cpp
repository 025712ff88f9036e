#include "text/word_pieces.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "text/utf8.h"

namespace ggmlkit::text {

WordPieces::WordPieces(std::vector<PieceTrie::Piece> pieces, std::string_view mark, bool strict,
                       Token unknown, std::size_t most)
    : trie_(std::move(pieces)),
      beginning_(trie_.walk(PieceTrie::kRoot, mark)),
      strict_(strict),
      unknown_(unknown),
      most_(most) {}

void WordPieces::encode(std::string_view word, std::vector<Token>& out) const {
  const auto continues = [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
  };
  const std::size_t before = out.size();
  const bool fits =
      word.size() <= most_ ||
      word.size() - static_cast<std::size_t>(std::count_if(word.begin(), word.end(), continues)) <=
          most_;
  if (word.empty() || (fits && spell(word, out))) return;
  out.resize(before);
  if (unknown_ == PieceTrie::kNoToken) {
    throw std::invalid_argument("no pieces spell '" + std::string(excerpt(word)) +
                                "', and there is no unknown token");
  }
  out.push_back(unknown_);
}

bool WordPieces::spell(std::string_view word, std::vector<Token>& out) const {
  PieceTrie::Node node = beginning_;
  for (std::size_t begin = 0; begin < word.size() || node != PieceTrie::kRoot;) {
    Token longest = PieceTrie::kNoToken;
    std::size_t end_of_longest = begin;
    for (std::size_t end = begin; node != PieceTrie::kNone;) {
      const bool is_mark = strict_ && node == beginning_;
      const bool at_beginning = end == 0;
      if (trie_.token(node) != PieceTrie::kNoToken && !(is_mark && at_beginning)) {
        longest = trie_.token(node);
        end_of_longest = end;
      }
      if (end == word.size() || (is_mark && !at_beginning)) break;
      node = trie_.step(node, static_cast<unsigned char>(word[end++]));
    }
    if (longest == PieceTrie::kNoToken) return false;
    out.push_back(longest);
    begin = end_of_longest;
    node = PieceTrie::kRoot;
  }
  return true;
}

}  // namespace ggmlkit::text
