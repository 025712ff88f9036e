#include "text/byte_pairs.h"

#include <queue>
#include <stdexcept>
#include <string>

namespace ggmlkit::text {
namespace {

std::uint64_t key(BytePairs::Token left, BytePairs::Token right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
         static_cast<std::uint32_t>(right);
}

std::size_t character_bytes(char first) {
  const auto byte = static_cast<unsigned char>(first);
  return byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

}  // namespace

// What a stretch of the word has become, between its neighbours; −1 for none, as token: merged
// away.
struct BytePairs::Symbol {
  Token token;
  std::ptrdiff_t before;
  std::ptrdiff_t after;
};

// A merge of the symbol at `place` with the one after it, as seen when it was found.
struct BytePairs::Candidate {
  Merge merge;
  std::ptrdiff_t place;
  // The queue's top is the best: the lowest rank, the first of equals.
  bool operator<(const Candidate& other) const {
    return merge.rank != other.merge.rank ? merge.rank > other.merge.rank : place > other.place;
  }
};

BytePairs::BytePairs(std::size_t pieces, std::size_t merges, bool whole_words)
    : whole_words_(whole_words) {
  tokens_.reserve(pieces);
  merges_.reserve(merges);
}

BytePairs::Token BytePairs::token_of(std::string_view text) const {
  const auto found = tokens_.find(text);
  return found == tokens_.end() ? -1 : found->second;
}

const BytePairs::Merge* BytePairs::merge_of(Token left, Token right) const {
  const auto found = merges_.find(key(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

void BytePairs::add_merge(std::string_view left, std::string_view right) {
  const auto known = [this](std::string_view text) {
    const Token token = token_of(text);
    if (token < 0) throw std::invalid_argument("'" + std::string(text) + "' is no token");
    return token;
  };
  const Token l = known(left);
  const Token r = known(right);
  std::string joined(left);
  joined += right;
  merges_[key(l, r)] = {next_rank_++, known(joined)};
}

void BytePairs::encode(std::string_view word, std::vector<Token>& out) const {
  if (whole_words_) {
    if (const Token whole = token_of(word); whole >= 0) {
      out.push_back(whole);
      return;
    }
  }
  std::vector<Symbol> symbols;
  for (std::size_t at = 0; at < word.size();) {
    const std::string_view character = word.substr(at, character_bytes(word[at]));
    at += character.size();
    const Token token = token_of(character);
    const auto place = static_cast<std::ptrdiff_t>(symbols.size());
    if (token >= 0) symbols.push_back({token, place - 1, place + 1});
  }
  if (symbols.empty()) return;
  symbols.back().after = -1;
  const auto symbol = [&](std::ptrdiff_t place) -> Symbol& {
    return symbols[static_cast<std::size_t>(place)];
  };

  std::priority_queue<Candidate> queue;
  const auto consider = [&](std::ptrdiff_t place) {
    if (place < 0 || symbol(place).after < 0) return;
    const Merge* merge = merge_of(symbol(place).token, symbol(symbol(place).after).token);
    if (merge != nullptr) queue.push({*merge, place});
  };
  for (std::size_t i = 0; i < symbols.size(); ++i) consider(static_cast<std::ptrdiff_t>(i));
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = symbol(best.place);
    if (left.token < 0 || left.after < 0) continue;
    Symbol& right = symbol(left.after);
    // Neighbours that have changed since make another token, if any: a longer text.
    const Merge* merge = merge_of(left.token, right.token);
    if (merge == nullptr || merge->token != best.merge.token) continue;
    left.token = merge->token;
    left.after = right.after;
    right.token = -1;
    if (left.after >= 0) symbol(left.after).before = best.place;
    consider(left.before);
    consider(best.place);
  }
  for (std::ptrdiff_t place = 0; place >= 0; place = symbol(place).after) {
    out.push_back(symbol(place).token);
  }
}

}  // namespace ggmlkit::text
