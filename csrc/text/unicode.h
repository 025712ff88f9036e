// Decodes UTF-8, and classifies characters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ggmlkit::text {

// Unicode's general categories, in the order of unicode_categories.h.
// clang-format off
enum class Category : std::uint8_t {
  Cn, Lu, Ll, Lt, Lm, Lo, Mn, Mc, Me, Nd, Nl, No, Pc, Pd, Ps, Pe, Pi, Pf, Po, Sm, Sc, Sk, So,
  Zs, Zl, Zp, Cc, Cf, Co
};
// clang-format on

constexpr std::uint32_t mask_of(Category category) {
  return std::uint32_t{1} << static_cast<unsigned>(category);
}

template <class... Rest>
constexpr std::uint32_t mask_of(Category first, Rest... rest) {
  return mask_of(first) | mask_of(rest...);
}

// The category of a code point below 0x110000.
Category category_of(char32_t code);

// Bytes of the character that begins with this byte; 1 if no character begins with it.
inline std::size_t character_bytes(char first) {
  const auto byte = static_cast<unsigned char>(first);
  return byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

struct Character {
  char32_t code;
  std::size_t bytes;
};

// The character at `at`, in text that is UTF-8.
inline Character character_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) -> char32_t {
    return static_cast<unsigned char>(text[at + i]);
  };
  const char32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  if (first < 0xE0) return {(first & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  if (first < 0xF0) return {(first & 0xF) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3};
  return {(first & 7) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F), 4};
}

// The start of the character before `at`, which is above 0.
inline std::size_t before(std::string_view text, std::size_t at) {
  do --at;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  return at;
}

// Unicode's White_Space.
bool is_white_space(char32_t code);

// What \w matches in Rust's expressions: letters, marks, decimal digits, connectors, joiners.
bool is_word(char32_t code);

}  // namespace ggmlkit::text
