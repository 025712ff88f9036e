// Where every sequence's keys and values are: pages of the layers that see all positions, and,
// where a model has layers with a window, pages of those, which go back once they lie behind the
// window.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "engine/kv_pages.h"

namespace ggmlkit::engine {

enum class LayerKind : std::size_t { full, windowed };
constexpr std::size_t kLayerKinds = 2;

// The pages of the same positions, by kind of layer; kNoPage where there is none.
using Pages = std::array<PageId, kLayerKinds>;

// The pages that hold a sequence's positions, by kind of layer: page i holds positions from
// i · kPage on. Those that went back are kNoPage.
struct PageTable {
  std::array<std::vector<PageId>, kLayerKinds> pages;
  std::size_t length = 0;        // positions held
  std::size_t window_begin = 0;  // the first position whose windowed page is held
};

// Positions that a table is to take.
struct Growth {
  PageTable* table;
  std::size_t n;
};

class KvPool {
 public:
  // Room for `positions`, of all sequences together.
  KvPool(const Config& c, KvTypes types, std::size_t positions);

  // Of one page in all layers.
  static std::size_t page_bytes(const Config& c, KvTypes types);

  KvTypes types() const { return types_; }
  std::size_t nbytes() const;
  bool has_windows() const { return window_ != 0; }
  // Pages that no sequence has; of the kind that has fewest.
  std::size_t free_pages() const;
  std::size_t total_pages() const { return total_; }

  // Pages that tables lack for more positions, copies of shared ones included; of the kind that
  // lacks most.
  std::size_t lacking(const std::vector<Growth>& growths) const;
  // Takes them. There must be as many free pages as lack.
  void extend(const std::vector<Growth>& growths);

  // Forgets positions from `length` on. Where windowed pages that the rest needs went back, all
  // positions are forgotten.
  void truncate(PageTable& table, std::size_t length);
  // Gives back the windowed pages that no later token sees, but for some that a truncation of a
  // few tokens may need.
  void release_behind_window(PageTable& table);
  // The same positions, sharing the pages.
  PageTable fork(const PageTable& table);

  // One page of a table, counted once more.
  Pages share(const PageTable& table, std::size_t page);
  // Puts pages of the same contents in the place of a table's own.
  void replace(PageTable& table, std::size_t page, const Pages& same);
  void give_back(const Pages& pages);
  // Makes full pages the beginning of an empty table, which shares those that it needs.
  void adopt(PageTable& table, const std::vector<Pages>& pages);

  // The full pages of a table as bytes: of each kind, layer by layer, page by page.
  std::vector<std::byte> bytes_of(const PageTable& table) const;
  // How many those are of a table with so many positions.
  std::size_t saved_bytes(std::size_t length, std::size_t window_begin) const;
  // Fills an empty table from them. There must be free pages.
  void restore(PageTable& table, std::size_t length, std::size_t window_begin,
               const std::byte* bytes);

  // A head's keys and values of a layer, at a page of the table.
  std::byte* keys(std::size_t layer, const PageTable& table, std::size_t head, std::size_t page) {
    const Place& place = places_[layer];
    return pages_[place.kind].keys(place.layer, table.pages[place.kind][page], head);
  }
  std::byte* values(std::size_t layer, const PageTable& table, std::size_t head, std::size_t page) {
    const Place& place = places_[layer];
    return pages_[place.kind].values(place.layer, table.pages[place.kind][page], head);
  }

 private:
  struct Place {
    std::size_t kind;
    std::size_t layer;  // among those of its kind
  };
  // The first page of a kind that is held.
  static std::size_t first_page(std::size_t kind, std::size_t window_begin) {
    return kind == static_cast<std::size_t>(LayerKind::windowed) ? window_begin / kPage : 0;
  }
  // Whether the page that the next position goes to is shared, and so must be copied.
  bool must_copy(const PageTable& table, std::size_t kind) const;
  std::size_t copies(const std::vector<Growth>& growths, std::size_t kind) const;
  void extend(PageTable& table, std::size_t n);

  KvTypes types_;
  std::size_t total_;
  std::size_t window_ = 0;                         // the largest
  std::vector<Place> places_;                      // [layers]
  std::array<std::size_t, kLayerKinds> counts_{};  // of layers
  std::vector<KvPages> pages_;                     // [kLayerKinds]
};

}  // namespace ggmlkit::engine
