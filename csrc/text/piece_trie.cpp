#include "text/piece_trie.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

namespace ggmlkit::text {
namespace {

// Eight bytes as a number with the same sort order; zeros after the end of the text.
std::uint64_t eight_bytes(std::string_view text, std::size_t from) {
  std::uint64_t number = 0;
  for (std::size_t i = from; i < from + 8; ++i) {
    number = number << 8 | (i < text.size() ? static_cast<unsigned char>(text[i]) : 0);
  }
  return number;
}

// The first bytes of all pieces, side by side in memory: most pieces differ in them.
struct Entry {
  std::uint64_t first;
  std::uint64_t second;
  std::uint32_t number;  // in the original order
};

// A node to be made, and the range of sorted pieces below it.
struct Range {
  std::uint32_t begin;
  std::uint32_t end;
};

std::vector<Entry> sorted(const std::vector<PieceTrie::Piece>& pieces) {
  std::vector<Entry> entries;
  entries.reserve(pieces.size());
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const std::string_view text = pieces[i].text;
    entries.push_back({eight_bytes(text, 0), eight_bytes(text, 8), static_cast<std::uint32_t>(i)});
  }
  std::sort(entries.begin(), entries.end(), [&](const Entry& a, const Entry& b) {
    if (a.first != b.first) return a.first < b.first;
    if (a.second != b.second) return a.second < b.second;
    const int order = pieces[a.number].text.compare(pieces[b.number].text);
    return order != 0 ? order < 0 : a.number < b.number;
  });
  return entries;
}

}  // namespace

PieceTrie::PieceTrie(std::vector<Piece> pieces) {
  std::size_t bytes = 0;
  for (const Piece& piece : pieces) bytes += piece.text.size();
  if (bytes >= kNone) throw std::invalid_argument("the pieces are longer than 4 GB");
  {
    const std::vector<Entry> order = sorted(pieces);
    std::vector<Piece> in_order;
    in_order.reserve(pieces.size());
    for (const Entry& entry : order) in_order.push_back(pieces[entry.number]);
    pieces = std::move(in_order);
  }
  // Level by level, so that the children of a node lie side by side.
  std::vector<Range> level{{0, static_cast<std::uint32_t>(pieces.size())}};
  std::vector<Range> next;
  labels_.push_back(0);
  for (std::size_t depth = 0; !level.empty(); ++depth) {
    next.clear();
    for (auto [begin, end] : level) {
      Token token = kNoToken;
      if (begin < end && pieces[begin].text.size() == depth) token = pieces[begin].token;
      while (begin < end && pieces[begin].text.size() == depth) ++begin;
      nodes_.push_back({static_cast<std::uint32_t>(labels_.size()), token});
      while (begin < end) {
        const char label = pieces[begin].text[depth];
        std::uint32_t after = begin + 1;
        while (after < end && pieces[after].text[depth] == label) ++after;
        labels_.push_back(static_cast<unsigned char>(label));
        next.push_back({begin, after});
        begin = after;
      }
    }
    level.swap(next);
  }
  nodes_.push_back({static_cast<std::uint32_t>(labels_.size()), kNoToken});
}

PieceTrie::Node PieceTrie::step(Node node, unsigned char byte) const {
  const std::uint32_t first = nodes_[node].first_after;
  const unsigned char* labels = labels_.data() + first;
  const std::size_t count = nodes_[node + 1].first_after - first;
  if (count < 8) {
    for (std::size_t i = 0; i < count; ++i) {
      if (labels[i] == byte) return first + static_cast<Node>(i);
    }
    return kNone;
  }
  const void* found = std::memchr(labels, byte, count);
  if (found == nullptr) return kNone;
  return first + static_cast<Node>(static_cast<const unsigned char*>(found) - labels);
}

PieceTrie::Node PieceTrie::walk(Node node, std::string_view text) const {
  for (const char byte : text) {
    if (node == kNone) break;
    node = step(node, static_cast<unsigned char>(byte));
  }
  return node;
}

}  // namespace ggmlkit::text
