// Finds the numbers of items that are stored elsewhere by their hashes. A slot has eight bytes, so
// that the index of a whole vocabulary stays in a core's own cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ggmlkit::text {

class HashIndex {
 public:
  static constexpr std::int32_t kNone = -1;

  // Has room for `most` items.
  explicit HashIndex(std::size_t most) {
    std::size_t slots = 16;
    while (slots < 2 * most) slots *= 2;
    slots_.resize(slots);
  }

  // The number of the item with this hash for which `same(number)` is true, or kNone.
  template <class Same>
  std::int32_t find(std::uint64_t hash, const Same& same) const {
    return slots_[place(hash, same)].number;
  }

  // The same; if there is none, `number` is inserted and returned.
  template <class Same>
  std::int32_t find_or_add(std::uint64_t hash, std::int32_t number, const Same& same) {
    Slot& slot = slots_[place(hash, same)];
    if (slot.number == kNone) slot = {tag(hash), number};
    return slot.number;
  }

 private:
  struct Slot {
    std::uint32_t tag = 0;  // the hash's other half, which avoids most comparisons
    std::int32_t number = kNone;
  };
  static std::uint32_t tag(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 32); }

  template <class Same>
  std::size_t place(std::uint64_t hash, const Same& same) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = hash & mask;
    while (slots_[at].number != kNone &&
           !(slots_[at].tag == tag(hash) && same(slots_[at].number))) {
      at = (at + 1) & mask;
    }
    return at;
  }

  std::vector<Slot> slots_;
};

}  // namespace ggmlkit::text
