// A trie of a vocabulary's pieces: finds all pieces at a place of a text in one walk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace ggmlkit::text {

class PieceTrie {
 public:
  using Token = std::int32_t;
  using Node = std::uint32_t;
  static constexpr Token kNoToken = -1;
  static constexpr Node kRoot = 0;
  static constexpr Node kNone = 0xFFFFFFFF;
  struct Piece {
    std::string_view text;  // not empty
    Token token;
  };

  // Of equal texts, the first counts.
  explicit PieceTrie(std::vector<Piece> pieces);

  // The node after one more byte; kNone if no piece continues like this.
  Node step(Node node, unsigned char byte) const;
  Node walk(Node node, std::string_view text) const;

  // The piece that ends here, or kNoToken.
  Token token(Node node) const { return nodes_[node].token; }

 private:
  // The children of a node lie side by side, followed by those of the next node.
  struct Place {
    std::uint32_t first_after;
    Token token;
  };
  std::vector<Place> nodes_;           // and one more for the end of the last node's children
  std::vector<unsigned char> labels_;  // the byte that leads to each node
};

}  // namespace ggmlkit::text
