#include "text/unigram.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "text/unicode.h"
#include "text/utf8.h"

namespace ggmlkit::text {

// The best way to split a text up to some byte: the start of its last piece.
struct Unigram::Best {
  static constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);
  double score = 0;
  std::size_t begin = kNowhere;
  Token token = PieceTrie::kNoToken;
};

Unigram::Unigram(std::vector<PieceTrie::Piece> pieces, std::vector<double> scores,
                 Settings settings)
    : trie_(std::move(pieces)), scores_(std::move(scores)), settings_(std::move(settings)) {}

std::vector<Unigram::Best> Unigram::best_ends(std::string_view text) const {
  std::vector<Best> best(text.size() + 1);
  const auto offer = [&](std::size_t end, std::size_t begin, Token token, double sum) {
    if (settings_.single_precision) sum = static_cast<double>(static_cast<float>(sum));
    Best& known = best[end];
    if (known.begin == Best::kNowhere || sum > known.score) known = {sum, begin, token};
  };
  for (std::size_t begin = 0; begin < text.size();) {
    const double before = best[begin].score;
    const std::size_t next = std::min(text.size(), begin + character_bytes(text[begin]));
    bool spelled = false;
    PieceTrie::Node node = PieceTrie::kRoot;
    for (std::size_t end = begin; end < text.size();) {
      node = trie_.step(node, static_cast<unsigned char>(text[end++]));
      if (node == PieceTrie::kNone) break;
      const Token token = trie_.token(node);
      if (token == PieceTrie::kNoToken) continue;
      spelled |= end == next;
      offer(end, begin, token, before + scores_[static_cast<std::size_t>(token)]);
    }
    if (!spelled) {
      offer(next, begin, PieceTrie::kNoToken, before + settings_.unknown_score);
    }
    begin = next;
  }
  return best;
}

void Unigram::encode(std::string_view text, std::vector<Token>& out) const {
  const std::vector<Best> best = best_ends(text);
  std::vector<std::size_t> ends;
  for (std::size_t end = text.size(); end > 0; end = best[end].begin) ends.push_back(end);
  for (std::size_t i = ends.size(); i-- > 0;) {
    const Best& last = best[ends[i]];
    if (last.token != PieceTrie::kNoToken) {
      out.push_back(last.token);
      continue;
    }
    while (i > 0 && best[ends[i - 1]].token == PieceTrie::kNoToken) --i;
    add_unknown(text.substr(last.begin, ends[i] - last.begin), out);
  }
}

void Unigram::add_unknown(std::string_view text, std::vector<Token>& out) const {
  if (!settings_.byte_tokens.empty()) {
    for (const char byte : text) {
      out.push_back(settings_.byte_tokens[static_cast<unsigned char>(byte)]);
    }
  } else if (settings_.unknown != PieceTrie::kNoToken) {
    out.push_back(settings_.unknown);
  } else {
    throw std::invalid_argument("no pieces spell '" + std::string(excerpt(text)) +
                                "', and there is no unknown token");
  }
}

}  // namespace ggmlkit::text
