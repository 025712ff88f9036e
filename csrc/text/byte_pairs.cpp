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

BytePairs::BytePairs(const std::vector<std::string_view>& pieces, const std::vector<Pair>& merges,
                     bool whole_words)
    : whole_words_(whole_words), tokens_(pieces.size()), merges_(merges.size()) {
  std::vector<bool> first(pieces.size());
  for (std::size_t token = 0; token < pieces.size(); ++token) {
    if (pieces[token].data() == nullptr) continue;
    first[token] = tokens_.insert(pieces[token], static_cast<Token>(token)).second;
  }
  std::uint32_t rank = 0;
  const auto known = [&](std::string_view text) {
    if (const Token* token = tokens_.find(text)) return *token;
    throw std::invalid_argument("merges entry " + std::to_string(rank) + ": '" + std::string(text) +
                                "' is no token");
  };
  std::string joined;
  std::size_t next = 0;
  for (const auto& [left, right] : merges) {
    joined.assign(left).append(right);
    // Vocabularies list what merges make in the order of the merges: look there first.
    const bool follows = next < pieces.size() && first[next] && pieces[next] == joined;
    const std::uint64_t pair = key(known(left), known(right));
    const Merge merge{rank, follows ? static_cast<Token>(next) : known(joined)};
    *merges_.insert(pair, merge).first = merge;
    next = static_cast<std::size_t>(merge.token) + 1;
    ++rank;
  }
}

const BytePairs::Merge* BytePairs::merge_of(Token left, Token right) const {
  return merges_.find(key(left, right));
}

void BytePairs::encode(std::string_view word, std::vector<Token>& out) const {
  if (whole_words_) {
    if (const Token* whole = tokens_.find(word)) {
      out.push_back(*whole);
      return;
    }
  }
  std::vector<Symbol> symbols;
  for (std::size_t at = 0; at < word.size();) {
    const std::string_view character = word.substr(at, character_bytes(word[at]));
    at += character.size();
    const auto place = static_cast<std::ptrdiff_t>(symbols.size());
    if (const Token* token = tokens_.find(character)) {
      symbols.push_back({*token, place - 1, place + 1});
    }
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
