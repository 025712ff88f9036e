// Pages of cached keys and values. A page holds kPage positions of every head, in some layers, and
// is counted: sequences that begin alike share the pages of their beginning.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/aligned.h"
#include "engine/config.h"
#include "kernels/kernel_table.h"

namespace ggmlkit::engine {

// Positions of a page. Attention reads one page at a time: its scores, keys and values fit the
// first-level cache.
constexpr std::size_t kPage = 64;

constexpr std::size_t pages_for(std::size_t positions) { return (positions + kPage - 1) / kPage; }

// How keys and values are cached.
struct KvTypes {
  KvType keys;
  KvType values;
};

using PageId = std::uint32_t;
constexpr PageId kNoPage = 0xffffffff;

// Not safe for calls from several threads, but reading and writing pages is.
class KvPages {
 public:
  // Throws std::bad_alloc where so many pages are more than a machine can have. Their memory is
  // taken from the system when they are first written.
  KvPages(std::size_t layers, const Config& c, KvTypes types, std::size_t pages);

  std::size_t total() const { return counts_.size(); }
  std::size_t free() const { return free_.size(); }
  // Memory of the pages that were ever taken.
  std::size_t nbytes() const { return layers_ * page_bytes_ * touched_; }

  // A free page, counted once; there must be one.
  PageId take();
  void share(PageId page) { ++counts_[page]; }
  void give_back(PageId page);
  bool is_shared(PageId page) const { return counts_[page] > 1; }
  bool is_shared_by(PageId page, std::size_t count) const { return counts_[page] == count; }
  void copy(PageId from, PageId to);

  // A head's keys or values of a page: its groups of kKvGroup positions one after another.
  std::byte* keys(std::size_t layer, PageId page, std::size_t head) {
    return data_.data() + (layer * total() + page) * page_bytes_ + head * head_bytes_;
  }
  std::byte* values(std::size_t layer, PageId page, std::size_t head) {
    return keys(layer, page, head) + key_bytes_;
  }

  const std::byte* page(std::size_t layer, PageId page) const {
    return data_.data() + (layer * total() + page) * page_bytes_;
  }
  // Of one layer: [kv_heads][keys, values].
  std::size_t page_bytes() const { return page_bytes_; }

 private:
  std::size_t layers_;
  std::size_t key_bytes_;   // of a head in a page
  std::size_t head_bytes_;  // of its keys and values
  std::size_t page_bytes_;
  std::size_t touched_ = 0;            // pages, from the first on
  std::vector<std::uint32_t> counts_;  // [pages], 0: free
  std::vector<PageId> free_;           // the last is taken first
  AlignedArray<std::byte> data_;       // [layers][pages][page_bytes]
};

}  // namespace ggmlkit::engine
