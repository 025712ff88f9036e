#include "text/byte_pairs.h"

#include <queue>
#include <stdexcept>
#include <string>

#include "text/hash.h"
#include "text/unicode.h"

namespace ggmlkit::text {
namespace {

std::uint64_t key(BytePairs::Token left, BytePairs::Token right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
         static_cast<std::uint32_t>(right);
}

}  // namespace

// A symbol of the word, with its neighbours (−1: none). Its token is −1 once it was merged into the
// symbol before.
struct BytePairs::Symbol {
  Token token;
  std::ptrdiff_t before;
  std::ptrdiff_t after;
};

// A possible merge of the symbol at `place` with the next one, as they were when it was found.
struct BytePairs::Candidate {
  std::uint32_t rank;
  Token token;
  std::ptrdiff_t place;
  // The top of the queue is the merge with the lowest rank; of equal ranks, the first in the text.
  bool operator<(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : place > other.place;
  }
};

BytePairs::BytePairs(const std::vector<std::string_view>& pieces, const std::vector<Pair>& merges,
                     bool whole_words, const Fallback& fallback)
    : whole_words_(whole_words),
      fallback_(fallback),
      tokens_by_text_(pieces.size()),
      merges_by_pair_(merges.size()) {
  ends_.reserve(pieces.size());
  std::vector<bool> first(pieces.size());
  for (const std::string_view text : pieces) {
    const auto token = static_cast<Token>(ends_.size());
    texts_.append(text);
    ends_.push_back(texts_.size());
    if (text.data() == nullptr) continue;
    first[ends_.size() - 1] =
        token == tokens_by_text_.find_or_add(hash_of(text), token,
                                             [&](Token t) { return piece(t) == text; });
  }
  const auto known = [&](std::string_view text, std::size_t number) {
    const Token token = token_of(text);
    if (token >= 0) return token;
    throw std::invalid_argument("merges entry " + std::to_string(number) + ": '" +
                                std::string(text) + "' is no token");
  };
  merges_.reserve(merges.size());
  std::string joined;
  Token next = 0;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const auto& [left, right] = merges[i];
    joined.assign(left).append(right);
    // Vocabularies usually list the results of merges in the order of the merges: look there first.
    const auto n = static_cast<std::size_t>(next);
    const bool follows = n < pieces.size() && first[n] && piece(next) == joined;
    const std::uint64_t pair = key(known(left, i), known(right, i));
    const Token token = follows ? next : known(joined, i);
    add_merge({pair, token, static_cast<std::uint32_t>(i)});
    next = token + 1;
  }
}

std::string_view BytePairs::piece(Token token) const {
  const auto t = static_cast<std::size_t>(token);
  const std::size_t begin = t == 0 ? 0 : ends_[t - 1];
  return std::string_view(texts_).substr(begin, ends_[t] - begin);
}

BytePairs::Token BytePairs::token_of(std::string_view text) const {
  return tokens_by_text_.find(hash_of(text), [&](Token token) { return piece(token) == text; });
}

const BytePairs::Merge* BytePairs::merge_of(Token left, Token right) const {
  const std::uint64_t pair = key(left, right);
  const std::int32_t found = merges_by_pair_.find(hash_of(pair), [&](std::int32_t number) {
    return merges_[static_cast<std::size_t>(number)].pair == pair;
  });
  return found < 0 ? nullptr : &merges_[static_cast<std::size_t>(found)];
}

// If a pair occurs twice, its last place counts.
void BytePairs::add_merge(const Merge& merge) {
  const auto number = static_cast<std::int32_t>(merges_.size());
  const std::int32_t found =
      merges_by_pair_.find_or_add(hash_of(merge.pair), number, [&](std::int32_t other) {
        return merges_[static_cast<std::size_t>(other)].pair == merge.pair;
      });
  if (found == number) {
    merges_.push_back(merge);
  } else {
    merges_[static_cast<std::size_t>(found)] = merge;
  }
}

void BytePairs::encode(std::string_view word, std::vector<Token>& out) const {
  if (whole_words_) {
    if (const Token whole = token_of(word); whole >= 0) {
      out.push_back(whole);
      return;
    }
  }
  std::vector<Symbol> symbols;
  const auto add = [&](Token token) {
    const auto place = static_cast<std::ptrdiff_t>(symbols.size());
    symbols.push_back({token, place - 1, place + 1});
  };
  for (std::size_t at = 0; at < word.size();) {
    const std::string_view character = word.substr(at, character_bytes(word[at]));
    at += character.size();
    const Token token = token_of(character);
    if (token >= 0) {
      add(token);
    } else {
      const bool after_unknown = !symbols.empty() && symbols.back().token == fallback_.unknown;
      fallback_.of(character, after_unknown, add);
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
    if (merge != nullptr) queue.push({merge->rank, merge->token, place});
  };
  for (std::size_t i = 0; i < symbols.size(); ++i) consider(static_cast<std::ptrdiff_t>(i));
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = symbol(best.place);
    if (left.token < 0 || left.after < 0) continue;
    Symbol& right = symbol(left.after);
    // If the neighbours have changed since, they form a longer text, and another token if any.
    const Merge* merge = merge_of(left.token, right.token);
    if (merge == nullptr || merge->token != best.token) continue;
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
