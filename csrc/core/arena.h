// Memory for what is read from end to end for each token: large pieces, on large pages where the
// system has them, given back all at once.
#pragma once

#include <cstddef>
#include <vector>

namespace ggmlkit {

class Arena {
 public:
  Arena() = default;
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // `bytes` aligned to a cache line, which live as long as the arena. Throws std::bad_alloc.
  std::byte* take(std::size_t bytes);

 private:
  struct Piece {
    void* base;
    std::size_t bytes;
  };
  void add_piece(std::size_t bytes);

  std::vector<Piece> pieces_;
  std::byte* free_ = nullptr;
  std::size_t left_ = 0;
};

}  // namespace ggmlkit
