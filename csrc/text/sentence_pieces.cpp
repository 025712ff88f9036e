#include "text/sentence_pieces.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "text/hash.h"
#include "text/unicode.h"

namespace ggmlkit::text {
namespace {

constexpr std::string_view kSpace = "\xE2\x96\x81";  // ▁
constexpr char32_t kSpaceCode = 0x2581;

// Calls take(code, place) for every character other than ▁ that is followed by ▁, until it is true.
template <class Take>
void before_spaces(std::string_view text, const Take& take) {
  for (std::size_t at = text.find(kSpace); at != std::string_view::npos;
       at = text.find(kSpace, at + kSpace.size())) {
    if (at == 0) continue;
    const char32_t code = character_at(text, before(text, at)).code;
    if (code != kSpaceCode && take(code, at)) return;
  }
}

}  // namespace

// A symbol of the text, with its neighbours (−1: none). Its length is 0 once it was joined to the
// one before.
struct SentencePieces::Symbol {
  std::size_t begin;
  std::size_t size;
  std::ptrdiff_t before;
  std::ptrdiff_t after;
};

struct SentencePieces::Candidate {
  float score;
  std::int32_t left;  // bytes of the left part, or their negative: the larger comes first; 0
  std::ptrdiff_t place;
  std::size_t size;
  bool operator<(const Candidate& other) const {
    if (score != other.score) return score < other.score;
    return left != other.left ? left < other.left : place > other.place;
  }
};

// Kept from one part to the next, to reuse its memory.
struct SentencePieces::Work {
  std::vector<Symbol> symbols;
  std::vector<Candidate> queue;  // a heap
  bool after_unknown = false;
};

SentencePieces::SentencePieces(const std::vector<std::string_view>& pieces,
                               std::vector<float> scores, const Fallback& fallback, Ties ties)
    : scores_(std::move(scores)), fallback_(fallback), ties_(ties), tokens_by_text_(pieces.size()) {
  for (float& score : scores_) {
    if (std::isnan(score)) score = -std::numeric_limits<float>::infinity();  // NaN can't be sorted
  }
  ends_.reserve(pieces.size());
  for (const std::string_view text : pieces) {
    const auto token = static_cast<Token>(ends_.size());
    texts_.append(text);
    ends_.push_back(texts_.size());
    if (text.data() == nullptr) continue;
    tokens_by_text_.find_or_add(hash_of(text), token, [&](Token t) { return piece(t) == text; });
    longest_ = std::max(longest_, text.size());
    before_spaces(text, [&](char32_t code, std::size_t) {
      before_space_.push_back(code);
      return false;
    });
  }
  std::sort(before_space_.begin(), before_space_.end());
  before_space_.erase(std::unique(before_space_.begin(), before_space_.end()), before_space_.end());
}

std::string_view SentencePieces::piece(Token token) const {
  const auto t = static_cast<std::size_t>(token);
  const std::size_t begin = t == 0 ? 0 : ends_[t - 1];
  return std::string_view(texts_).substr(begin, ends_[t] - begin);
}

SentencePieces::Token SentencePieces::token_of(std::string_view text) const {
  return tokens_by_text_.find(hash_of(text), [&](Token token) { return piece(token) == text; });
}

// The place of the first ▁ that no merge crosses: no piece has ▁ after the character before it.
std::size_t SentencePieces::word_end(std::string_view text) const {
  std::size_t end = text.size();
  before_spaces(text, [&](char32_t code, std::size_t at) {
    if (std::binary_search(before_space_.begin(), before_space_.end(), code)) return false;
    end = at;
    return true;
  });
  return end;
}

void SentencePieces::encode(std::string_view text, std::vector<Token>& out) const {
  Work work;
  while (!text.empty()) {  // word by word: a short queue stays in the cache
    const std::size_t end = word_end(text);
    encode_part(text.substr(0, end), work, out);
    text.remove_prefix(end);
  }
}

void SentencePieces::consider(std::ptrdiff_t place, std::string_view text, Work& work) const {
  if (place < 0) return;
  const Symbol& left = work.symbols[static_cast<std::size_t>(place)];
  if (left.after < 0) return;
  const std::size_t size = left.size + work.symbols[static_cast<std::size_t>(left.after)].size;
  if (size > longest_) return;
  const Token token = token_of(text.substr(left.begin, size));
  if (token < 0) return;
  const auto bytes = static_cast<std::int32_t>(left.size);
  const std::int32_t order = ties_ == Ties::kLeftmost   ? 0
                             : ties_ == Ties::kLongLeft ? bytes
                                                        : -bytes;
  work.queue.push_back({scores_[static_cast<std::size_t>(token)], order, place, size});
  std::push_heap(work.queue.begin(), work.queue.end());
}

void SentencePieces::encode_part(std::string_view text, Work& work, std::vector<Token>& out) const {
  auto& symbols = work.symbols;
  symbols.clear();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = std::min(character_bytes(text[at]), text.size() - at);
    const auto place = static_cast<std::ptrdiff_t>(symbols.size());
    symbols.push_back({at, size, place - 1, place + 1});
    at += size;
  }
  if (symbols.empty()) return;
  symbols.back().after = -1;
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    consider(static_cast<std::ptrdiff_t>(i), text, work);
  }
  while (!work.queue.empty()) {
    std::pop_heap(work.queue.begin(), work.queue.end());
    const Candidate best = work.queue.back();
    work.queue.pop_back();
    Symbol& left = symbols[static_cast<std::size_t>(best.place)];
    if (left.size == 0 || left.after < 0) continue;
    Symbol& right = symbols[static_cast<std::size_t>(left.after)];
    if (left.size + right.size != best.size) continue;  // they have changed since
    left.size = best.size;
    left.after = right.after;
    right.size = 0;
    if (left.after >= 0) symbols[static_cast<std::size_t>(left.after)].before = best.place;
    consider(left.before, text, work);
    consider(best.place, text, work);
  }
  for (std::ptrdiff_t place = 0; place >= 0;) {
    const Symbol& symbol = symbols[static_cast<std::size_t>(place)];
    const std::string_view found = text.substr(symbol.begin, symbol.size);
    const Token token = token_of(found);
    if (token >= 0) {
      out.push_back(token);
      work.after_unknown = false;
    } else {
      fallback_.of(found, work.after_unknown, [&](Token t) {
        out.push_back(t);
        work.after_unknown = t == fallback_.unknown;
      });
    }
    place = symbol.after;
  }
}

}  // namespace ggmlkit::text
