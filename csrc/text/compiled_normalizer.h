// SentencePiece's normalizer: replacements, compiled into a double array, and rules for spaces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/piece_trie.h"

namespace ggmlkit::text {

// Finds the replacement for the start of a text.
class CompiledReplacements {
 public:
  struct Match {
    std::size_t length = 0;  // of the replaced text; 0 if there is no replacement
    std::string_view by;
  };

  // `data` is the size of the double array (four bytes), the array, and texts that each end with a
  // zero byte; all little-endian. Empty data replaces nothing. Throws std::invalid_argument if the
  // data has another form.
  explicit CompiledReplacements(std::string_view data);

  // The longest start of the text that has a replacement. Throws std::invalid_argument if a link
  // leads outside the array or the texts.
  Match longest(std::string_view text) const;

 private:
  std::uint32_t unit(std::size_t at) const;
  std::string_view text_at(std::uint32_t at) const;

  std::vector<std::uint32_t> units_;
  std::string texts_;
};

// How spaces of a text are normalized; in the result, each is a ▁.
struct SpaceRules {
  bool before;    // a space is added before the text
  bool after;     // a space is added after the text
  bool collapse;  // several become one; those around the text are removed
  // As in llama.cpp: with `collapse`, every word gets a space before it; a text of spaces is empty.
  bool by_words;
};

class CompiledNormalizer {
 public:
  // `kept` are pieces that are never changed inside a text.
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
