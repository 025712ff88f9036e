// Checks of UTF-8.
#pragma once

#include <cstddef>
#include <string_view>

namespace ggmlkit::text {

// Whether bytes are UTF-8 by Unicode's table 3-7, as in Python: shortest forms, no surrogates.
inline bool is_utf8(std::string_view bytes) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  for (std::size_t i = 0; i < bytes.size();) {
    const unsigned char lead = at(i);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const std::size_t length = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (length == 0 || lead > 0xF4 || bytes.size() - i < length) return false;
    // After some first bytes, the range of the second byte is smaller.
    const unsigned char lowest = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const unsigned char highest = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (at(i + 1) < lowest || at(i + 1) > highest) return false;
    for (std::size_t k = 2; k < length; ++k) {
      if ((at(i + k) & 0xC0) != 0x80) return false;
    }
    i += length;
  }
  return true;
}

// The start of a valid UTF-8 text that is short enough for an error message.
inline std::string_view excerpt(std::string_view text) {
  std::size_t end = text.size() < 80 ? text.size() : 80;
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

}  // namespace ggmlkit::text
