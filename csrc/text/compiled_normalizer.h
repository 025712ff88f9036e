// SentencePiece's normalizer: what texts are replaced by, compiled into a double array, and what
// becomes of spaces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/piece_trie.h"

namespace ggmlkit::text {

// Which text a beginning of another is replaced by.
class CompiledReplacements {
 public:
  struct Match {
    std::size_t length = 0;  // of what is replaced; 0 if nothing is
    std::string_view by;
  };

  // `data` is the size of the double array, in four bytes, the array, and texts that each end with
  // a zero; all little-endian. Empty data replaces nothing. Throws std::invalid_argument for data
  // that is not so.
  explicit CompiledReplacements(std::string_view data);

  // The longest beginning of the text that is replaced. Throws std::invalid_argument where the
  // array leads out of itself or the texts.
  Match longest(std::string_view text) const;

 private:
  std::uint32_t unit(std::size_t at) const;
  std::string_view text_at(std::uint32_t at) const;

  std::vector<std::uint32_t> units_;
  std::string texts_;
};

// What becomes of the spaces of a text, each of which is a ▁ in the end.
struct SpaceRules {
  bool before;    // the text gets one before it
  bool after;     // or after it
  bool collapse;  // several count as one, and those around the text as none
  // llama.cpp's way: with `collapse` every word has a space before it, and spaces alone make none.
  bool by_words;
};

class CompiledNormalizer {
 public:
  // `kept` are pieces that stay as they are wherever the text has them.
  CompiledNormalizer(std::string_view replacements, std::vector<PieceTrie::Piece> kept,
                     SpaceRules spaces);

  std::string normalized(std::string_view text) const;

 private:
  CompiledReplacements::Match next(std::string_view text) const;
  std::string with_word_spaces(std::string_view text) const;
  std::string with_spaces(std::string_view text) const;

  CompiledReplacements replacements_;
  PieceTrie kept_;
  SpaceRules spaces_;
};

}  // namespace ggmlkit::text
