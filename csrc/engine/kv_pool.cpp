#include "engine/kv_pool.h"

#include <algorithm>

namespace ggmlkit::engine {
namespace {

constexpr auto kFull = static_cast<std::size_t>(LayerKind::full);
constexpr auto kWindowed = static_cast<std::size_t>(LayerKind::windowed);

// Positions behind the window that are kept, so that the last tokens can be forgotten.
constexpr std::size_t kTruncatable = 256;

}  // namespace

KvPool::KvPool(const Config& c, KvTypes types, std::size_t positions)
    : types_(types), total_(pages_for(positions)) {
  for (std::size_t layer = 0; layer < c.layers; ++layer) {
    const std::size_t kind = c.window(layer) == 0 ? kFull : kWindowed;
    places_.push_back({kind, counts_[kind]++});
    window_ = std::max(window_, c.window(layer));
  }
  for (const std::size_t layers : counts_) {
    pages_.emplace_back(layers, c, types, layers == 0 ? 0 : total_);
  }
}

std::size_t KvPool::page_bytes(const Config& c, KvTypes types) {
  return KvPages(0, c, types, 0).page_bytes() * c.layers;
}

std::size_t KvPool::nbytes() const {
  std::size_t total = 0;
  for (const KvPages& pages : pages_) total += pages.nbytes();
  return total;
}

std::size_t KvPool::free_pages() const {
  std::size_t least = total_;
  for (std::size_t kind = 0; kind < kLayerKinds; ++kind) {
    if (counts_[kind] != 0) least = std::min(least, pages_[kind].free());
  }
  return least;
}

bool KvPool::must_copy(const PageTable& table, std::size_t kind) const {
  if (counts_[kind] == 0 || table.length % kPage == 0) return false;
  return pages_[kind].is_shared(table.pages[kind][table.length / kPage]);
}

std::size_t KvPool::lacking(const std::vector<Growth>& growths) const {
  std::size_t more = 0;
  for (const Growth& each : growths) {
    more += pages_for(each.table->length + each.n) - pages_for(each.table->length);
  }
  return more + std::max(copies(growths, kFull), copies(growths, kWindowed));
}

// Shared pages that are copied: by all tables that go on, but for the last to have one.
std::size_t KvPool::copies(const std::vector<Growth>& growths, std::size_t kind) const {
  std::vector<PageId> shared;
  for (const Growth& each : growths) {
    const PageTable& table = *each.table;
    if (must_copy(table, kind)) shared.push_back(table.pages[kind][table.length / kPage]);
  }
  std::sort(shared.begin(), shared.end());
  std::size_t count = shared.size();
  for (auto page = shared.begin(); page != shared.end();) {
    const auto end = std::upper_bound(page, shared.end(), *page);
    count -= pages_[kind].is_shared_by(*page, static_cast<std::size_t>(end - page));
    page = end;
  }
  return count;
}

void KvPool::extend(const std::vector<Growth>& growths) {
  for (const Growth& each : growths) extend(*each.table, each.n);
}

void KvPool::extend(PageTable& table, std::size_t n) {
  const std::size_t count = pages_for(table.length + n);
  for (std::size_t kind = 0; kind < kLayerKinds; ++kind) {
    if (counts_[kind] == 0) continue;
    KvPages& pages = pages_[kind];
    if (must_copy(table, kind)) {
      PageId& last = table.pages[kind][table.length / kPage];
      const PageId own = pages.take();
      pages.copy(last, own);
      pages.give_back(last);
      last = own;
    }
    while (table.pages[kind].size() < count) table.pages[kind].push_back(pages.take());
  }
}

void KvPool::truncate(PageTable& table, std::size_t length) {
  length = std::min(length, table.length);
  // Where the next token's window begins.
  const std::size_t begin = length >= window_ ? length + 1 - window_ : 0;
  if (begin < table.window_begin) length = 0;
  for (std::size_t kind = 0; kind < kLayerKinds; ++kind) {
    std::vector<PageId>& held = table.pages[kind];
    while (held.size() > pages_for(length)) {
      if (held.back() != kNoPage) pages_[kind].give_back(held.back());
      held.pop_back();
    }
  }
  table.length = length;
  if (length == 0) table.window_begin = 0;
}

void KvPool::release_behind_window(PageTable& table) {
  const std::size_t kept = window_ + kTruncatable;
  if (counts_[kWindowed] == 0 || table.length <= kept) return;
  const std::size_t first = (table.length - kept) / kPage;
  for (std::size_t page = table.window_begin / kPage; page < first; ++page) {
    PageId& id = table.pages[kWindowed][page];
    pages_[kWindowed].give_back(id);
    id = kNoPage;
  }
  table.window_begin = std::max(table.window_begin, first * kPage);
}

PageTable KvPool::fork(const PageTable& table) {
  PageTable same = table;
  for (std::size_t kind = 0; kind < kLayerKinds; ++kind) {
    std::vector<PageId>& held = same.pages[kind];
    // Pages that were taken for tokens yet to come stay with the other.
    held.resize(std::min(held.size(), pages_for(table.length)));
    for (const PageId page : held) {
      if (page != kNoPage) pages_[kind].share(page);
    }
  }
  return same;
}

Pages KvPool::share(const PageTable& table, std::size_t page) {
  Pages shared;
  shared.fill(kNoPage);
  for (std::size_t kind = 0; kind < kLayerKinds; ++kind) {
    if (counts_[kind] == 0) continue;
    shared[kind] = table.pages[kind][page];
    if (shared[kind] != kNoPage) pages_[kind].share(shared[kind]);
  }
  return shared;
}

void KvPool::replace(PageTable& table, std::size_t page, const Pages& same) {
  for (std::size_t kind = 0; kind < kLayerKinds; ++kind) {
    if (same[kind] == kNoPage || table.pages[kind][page] == kNoPage) continue;
    PageId& own = table.pages[kind][page];
    pages_[kind].share(same[kind]);
    pages_[kind].give_back(own);
    own = same[kind];
  }
}

void KvPool::give_back(const Pages& pages) {
  for (std::size_t kind = 0; kind < kLayerKinds; ++kind) {
    if (pages[kind] != kNoPage) pages_[kind].give_back(pages[kind]);
  }
}

void KvPool::adopt(PageTable& table, const std::vector<Pages>& pages) {
  for (std::size_t kind = 0; kind < kLayerKinds; ++kind) {
    if (counts_[kind] == 0) continue;
    for (const Pages& each : pages) {
      pages_[kind].share(each[kind]);
      table.pages[kind].push_back(each[kind]);
    }
  }
  table.length = pages.size() * kPage;
  release_behind_window(table);
}

std::size_t KvPool::saved_bytes(std::size_t length, std::size_t window_begin) const {
  std::size_t bytes = 0;
  for (std::size_t kind = 0; kind < kLayerKinds; ++kind) {
    const std::size_t pages = length / kPage - first_page(kind, window_begin);
    bytes += counts_[kind] * pages * pages_[kind].page_bytes();
  }
  return bytes;
}

std::vector<std::byte> KvPool::bytes_of(const PageTable& table) const {
  const std::size_t full = table.length / kPage;
  // A window may begin behind the last full page.
  const std::size_t begin = std::min(table.window_begin, full * kPage);
  std::vector<std::byte> bytes(saved_bytes(full * kPage, begin));
  std::byte* to = bytes.data();
  for (std::size_t kind = 0; kind < kLayerKinds; ++kind) {
    const KvPages& pages = pages_[kind];
    for (std::size_t layer = 0; layer < counts_[kind]; ++layer) {
      for (std::size_t p = first_page(kind, begin); p < full; ++p) {
        const std::byte* from = pages.page(layer, table.pages[kind][p]);
        to = std::copy(from, from + pages.page_bytes(), to);
      }
    }
  }
  return bytes;
}

void KvPool::restore(PageTable& table, std::size_t length, std::size_t window_begin,
                     const std::byte* bytes) {
  for (std::size_t kind = 0; kind < kLayerKinds; ++kind) {
    if (counts_[kind] == 0) continue;
    KvPages& pages = pages_[kind];
    const std::size_t first = first_page(kind, window_begin);
    std::vector<PageId>& held = table.pages[kind];
    held.assign(first, kNoPage);
    while (held.size() < length / kPage) held.push_back(pages.take());
    for (std::size_t layer = 0; layer < counts_[kind]; ++layer) {
      for (std::size_t p = first; p < held.size(); ++p, bytes += pages.page_bytes()) {
        std::copy(bytes, bytes + pages.page_bytes(), pages.keys(layer, held[p], 0));
      }
    }
  }
  table.length = length;
  table.window_begin = window_begin;
}

}  // namespace ggmlkit::engine
