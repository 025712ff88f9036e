#include "engine/kv_pages.h"

#include <algorithm>
#include <limits>
#include <new>

#include "kernels/layouts/kv_group.h"

namespace ggmlkit::engine {
namespace {

// A quarter of the address space stands for "no machine has that": what follows can't overflow.
constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max() / 4;

std::size_t product(std::size_t a, std::size_t b) {
  if (b != 0 && a > kMost / b) throw std::bad_alloc();
  return a * b;
}

}  // namespace

KvPages::KvPages(std::size_t layers, const Config& c, KvTypes types, std::size_t pages)
    : layers_(layers),
      key_bytes_(kPage / kKvGroup * kv_group_bytes(types.keys, c.head_dim)),
      head_bytes_(key_bytes_ + kPage / kKvGroup * kv_group_bytes(types.values, c.head_dim)),
      page_bytes_(c.kv_heads * head_bytes_) {
  // Before lists of the pages take memory.
  if (pages >= kNoPage) throw std::bad_alloc();
  data_.resize(product(product(layers, page_bytes_), pages));
  counts_.resize(pages);
  free_.resize(pages);
  // The first pages are taken first: what isn't needed is never touched.
  for (std::size_t i = 0; i < pages; ++i) free_[i] = static_cast<PageId>(pages - 1 - i);
}

PageId KvPages::take() {
  const PageId page = free_.back();
  free_.pop_back();
  counts_[page] = 1;
  touched_ = std::max<std::size_t>(touched_, page + 1);
  return page;
}

void KvPages::give_back(PageId page) {
  if (--counts_[page] == 0) free_.push_back(page);
}

void KvPages::copy(PageId from, PageId to) {
  for (std::size_t layer = 0; layer < layers_; ++layer) {
    const std::byte* source = keys(layer, from, 0);
    std::copy(source, source + page_bytes_, keys(layer, to, 0));
  }
}

}  // namespace ggmlkit::engine
