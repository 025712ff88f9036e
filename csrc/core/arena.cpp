#include "core/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <new>

namespace ggmlkit {
namespace {

constexpr std::size_t kLine = 64;
constexpr std::size_t kLargePage = std::size_t{2} << 20;
// What is not touched of the last piece costs address space alone.
constexpr std::size_t kPiece = std::size_t{32} << 20;

constexpr std::size_t round_up(std::size_t n, std::size_t step) {
  return (n + step - 1) / step * step;
}

}  // namespace

Arena::~Arena() {
  for (const Piece& piece : pieces_) munmap(piece.base, piece.bytes);
}

std::byte* Arena::take(std::size_t bytes) {
  if (bytes > SIZE_MAX - 2 * kLargePage) throw std::bad_alloc();
  bytes = round_up(bytes, kLine);
  if (bytes > left_) add_piece(std::max(kPiece, round_up(bytes, kLargePage)));
  std::byte* taken = free_;
  free_ += bytes;
  left_ -= bytes;
  return taken;
}

void Arena::add_piece(std::size_t bytes) {
  const std::size_t mapped = bytes + kLargePage;  // room to begin at a large page
  void* base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) throw std::bad_alloc();
  pieces_.push_back({base, mapped});
  const auto start = reinterpret_cast<std::uintptr_t>(base);
  free_ = static_cast<std::byte*>(base) + (round_up(start, kLargePage) - start);
  left_ = bytes;
#if defined(MADV_HUGEPAGE)
  // A wish: where the system has no large pages, ordinary ones do.
  madvise(free_, bytes, MADV_HUGEPAGE);
#endif
}

}  // namespace ggmlkit
