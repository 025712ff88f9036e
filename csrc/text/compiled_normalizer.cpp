#include "text/compiled_normalizer.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "text/unicode.h"

namespace ggmlkit::text {
namespace {

constexpr std::string_view kSpace = "\xE2\x96\x81";  // ▁

// Unicode's longest replacement has 33 bytes, for 3. A much longer one means damage, and would let
// a short text grow without limit.
constexpr std::size_t kLongest = 256;

[[noreturn]] void refuse(const char* reason) {
  throw std::invalid_argument(std::string("precompiled_charsmap is damaged: ") + reason);
}

std::uint32_t little_endian(std::string_view bytes) {
  std::uint32_t number = 0;
  for (std::size_t i = 4; i-- > 0;) number = number << 8 | static_cast<unsigned char>(bytes[i]);
  return number;
}

bool ends_with(const std::string& text, std::string_view end) {
  return text.size() >= end.size() &&
         std::string_view(text).substr(text.size() - end.size()) == end;
}

}  // namespace

CompiledReplacements::CompiledReplacements(std::string_view data) {
  if (data.empty()) return;
  if (data.size() < 4) refuse("it has no size");
  const std::size_t size = little_endian(data);
  data.remove_prefix(4);
  if (size > data.size() || size % 4 != 0 || size == 0) refuse("its table does not fit");
  for (std::size_t i = 0; i < size; i += 4) units_.push_back(little_endian(data.substr(i)));
  texts_ = data.substr(size);
}

// Bits of a unit: 0 to 7: the byte that leads to it; 8: whether a match ends there; 9 to 31: the
// offset of its children. If a match ends there, the first child holds the place of its text.
CompiledReplacements::Match CompiledReplacements::longest(std::string_view text) const {
  Match found;
  if (units_.empty()) return found;
  const auto children = [](std::uint32_t unit) {
    return static_cast<std::size_t>(unit >> 10) << ((unit & (1U << 9)) >> 6);
  };
  constexpr std::uint32_t is_text = 1U << 31;
  std::size_t at = children(unit(0));
  for (std::size_t i = 0; i < std::min(text.size(), kLongest); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == 0) break;
    at ^= byte;
    const std::uint32_t found_unit = unit(at);
    if ((found_unit & (is_text | 0xFF)) != byte) break;
    at ^= children(found_unit);
    if ((found_unit & 1U << 8) != 0) found = {i + 1, text_at(unit(at) & ~is_text)};
  }
  return found;
}

std::uint32_t CompiledReplacements::unit(std::size_t at) const {
  if (at >= units_.size()) refuse("its table leads out of it");
  return units_[at];
}

std::string_view CompiledReplacements::text_at(std::uint32_t at) const {
  if (at >= texts_.size()) refuse("its table leads out of its texts");
  const std::string_view text = std::string_view(texts_).substr(at, kLongest + 1);
  const std::size_t end = text.find('\0');
  if (end == std::string_view::npos) refuse("a replacement has no end");
  return text.substr(0, end);
}

CompiledNormalizer::CompiledNormalizer(std::string_view replacements,
                                       std::vector<PieceTrie::Piece> kept, SpaceRules spaces)
    : replacements_(replacements), kept_(std::move(kept)), spaces_(spaces) {}

std::string CompiledNormalizer::normalized(std::string_view text) const {
  return spaces_.by_words ? with_word_spaces(text) : with_spaces(text);
}

// The output for the start of the text: a kept piece, a replacement, or the character itself.
CompiledReplacements::Match CompiledNormalizer::next(std::string_view text) const {
  CompiledReplacements::Match found;
  PieceTrie::Node node = PieceTrie::kRoot;
  for (std::size_t end = 0; end < text.size();) {
    node = kept_.step(node, static_cast<unsigned char>(text[end++]));
    if (node == PieceTrie::kNone) break;
    if (kept_.token(node) != PieceTrie::kNoToken) found = {end, text.substr(0, end)};
  }
  if (found.length == 0) found = replacements_.longest(text);
  if (found.length == 0) {
    const std::size_t length = std::min(character_bytes(text[0]), text.size());
    found = {length, text.substr(0, length)};
  }
  return found;
}

std::string CompiledNormalizer::with_word_spaces(std::string_view text) const {
  std::string out;
  bool led = false;
  bool in_word = false;
  while (!text.empty()) {
    const auto [length, by] = next(text);
    text.remove_prefix(length);
    for (const char c : by) {
      if (c != ' ') {
        if (!in_word && ((spaces_.before && !led) || spaces_.collapse)) {
          out += kSpace;
          led = true;
        }
        out += c;
      } else if (!spaces_.collapse) {
        out += kSpace;
      }
      in_word = c != ' ';
    }
  }
  if (spaces_.after) out += kSpace;
  return out;
}

std::string CompiledNormalizer::with_spaces(std::string_view text) const {
  if (spaces_.collapse) {
    for (; !text.empty(); text.remove_prefix(next(text).length)) {
      if (next(text).by != " ") break;
    }
  }
  std::string out;
  if (text.empty()) return out;
  if (spaces_.before) out += kSpace;
  bool after_space = spaces_.collapse;
  while (!text.empty()) {
    auto [length, by] = next(text);
    text.remove_prefix(length);
    if (after_space) by.remove_prefix(std::min(by.find_first_not_of(' '), by.size()));
    if (by.empty()) continue;
    for (const char c : by) {
      if (c == ' ') {
        out += kSpace;
      } else {
        out += c;
      }
    }
    after_space = spaces_.collapse && by.back() == ' ';
  }
  while (spaces_.collapse && ends_with(out, kSpace)) out.resize(out.size() - kSpace.size());
  if (spaces_.after) out += kSpace;
  return out;
}

}  // namespace ggmlkit::text
