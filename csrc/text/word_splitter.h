// Splits text into words; byte pair encoding merges only within a word.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "text/regex.h"

namespace ggmlkit::text {

class WordSplitter {
 public:
  // Each expression splits the parts of the one before further, at the starts and ends of its
  // matches. Throws std::invalid_argument for an expression that Regex doesn't support.
  explicit WordSplitter(const std::vector<std::string>& expressions);

  // Calls take(word) for all words in order; together they are the text, which is UTF-8.
  template <class Take>
  void words(std::string_view text, const Take& take) const {
    cut(text, 0, take);
  }

 private:
  template <class Take>
  void cut(std::string_view text, std::size_t step, const Take& take) const {
    if (text.empty()) return;
    if (step == expressions_.size()) {
      take(text);
      return;
    }
    const Regex& expression = expressions_[step];
    std::size_t begin = 0;  // of the text without a match
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = expression.match(text, at);
      if (end == Regex::kNone || end == at) {
        at += character_bytes(text[at]);
        continue;
      }
      cut(text.substr(begin, at - begin), step + 1, take);
      cut(text.substr(at, end - at), step + 1, take);
      begin = at = end;
    }
    cut(text.substr(begin), step + 1, take);
  }

  std::vector<Regex> expressions_;
};

// Appends GPT-2's letters for bytes: one for each, so that any bytes can be written as text.
void append_letters(std::string_view bytes, std::string& letters);

}  // namespace ggmlkit::text
