// Pieces of a vocabulary by their first bytes: finds all that a text goes on with in one walk.
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

  // Of equal texts the first counts.
  explicit PieceTrie(std::vector<Piece> pieces);

  // Where one more byte leads; kNone if no piece goes on so.
  Node step(Node node, unsigned char byte) const;
  Node walk(Node node, std::string_view text) const;

  // The piece that ends here, or kNoToken.
  Token token(Node node) const { return nodes_[node].token; }

 private:
  // The nodes after one node lie side by side, the next node's after them.
  struct Place {
    std::uint32_t first_after;
    Token token;
  };
  std::vector<Place> nodes_;           // and one more, where the last one's end
  std::vector<unsigned char> labels_;  // the byte that leads to each node
};

}  // namespace ggmlkit::text
