// The tokens of characters that are not pieces of a vocabulary.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace ggmlkit::text {

struct Fallback {
  using Token = std::int32_t;
  static constexpr Token kNone = -1;

  std::array<Token, 256> bytes;  // the tokens of single bytes; kNone if there is none
  Token unknown = kNone;
  bool fuse = true;  // consecutive characters become one unknown token

  Fallback() { bytes.fill(kNone); }

  // Calls take(token) for a character's tokens: those of its bytes if all exist, else the unknown
  // token, unless it is fused with one directly before.
  template <class Take>
  void of(std::string_view character, bool after_unknown, const Take& take) const {
    const auto token_of = [&](char c) { return bytes[static_cast<unsigned char>(c)]; };
    const bool all = std::all_of(character.begin(), character.end(),
                                 [&](char c) { return token_of(c) != kNone; });
    if (all) {
      for (const char c : character) take(token_of(c));
    } else if (unknown != kNone && !(fuse && after_unknown)) {
      take(unknown);
    }
  }
};

}  // namespace ggmlkit::text
