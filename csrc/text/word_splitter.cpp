#include "text/word_splitter.h"

#include <array>

namespace ggmlkit::text {
namespace {

// Printable Latin-1 characters stand for themselves; the other bytes, in order, have the code
// points from 256 on.
std::array<std::array<char, 2>, 256> letters_of_bytes() {
  std::array<std::array<char, 2>, 256> letters{};
  unsigned next = 256;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool plain = (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
    const unsigned code = plain ? byte : next++;
    if (code < 0x80) {
      letters[byte] = {static_cast<char>(code), '\0'};
    } else {
      letters[byte] = {static_cast<char>(0xC0 | code >> 6),
                       static_cast<char>(0x80 | (code & 0x3F))};
    }
  }
  return letters;
}

}  // namespace

WordSplitter::WordSplitter(const std::vector<std::string>& expressions)
    : expressions_(expressions.begin(), expressions.end()) {}

void append_letters(std::string_view bytes, std::string& letters) {
  static const auto table = letters_of_bytes();
  for (const char byte : bytes) {
    const auto& letter = table[static_cast<unsigned char>(byte)];
    letters.append(letter.data(), letter[1] == '\0' ? 1 : 2);
  }
}

}  // namespace ggmlkit::text
