// A hash map whose slots lie in one array, for texts and numbers that are put in once and then only
// looked up: a vocabulary's worth of entries costs one allocation, and a lookup one or two misses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string_view>
#include <utility>
#include <vector>

namespace ggmlkit::text {

// Drawn once a process, so that no file can be made whose texts all fall on one slot.
inline std::uint64_t hash_seed() {
  static const std::uint64_t seed = [] {
    std::random_device random;
    return std::uint64_t{random()} << 32 | random();
  }();
  return seed;
}

inline std::uint64_t hash_of(std::uint64_t number) {
  __extension__ using Wide = unsigned __int128;
  constexpr std::uint64_t odd = 0x9E3779B97F4A7C15;  // 2⁶⁴ over the golden ratio
  const Wide product = static_cast<Wide>(number ^ hash_seed()) * odd;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

inline std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = text.size();
  for (; text.size() > 8; text.remove_prefix(8)) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data(), 8);
    hash = hash_of(hash ^ word);
  }
  std::uint64_t word = 0;
  std::memcpy(&word, text.data(), text.size());
  return hash_of(hash ^ word);
}

template <class Key, class Value>
class HashMap {
 public:
  explicit HashMap(std::size_t most) {
    std::size_t slots = 16;
    while (slots < 2 * most) slots *= 2;
    slots_.resize(slots);
  }

  const Value* find(const Key& key) const {
    const Slot& slot = slots_[place(key, hash_of(key))];
    return slot.used ? &slot.value : nullptr;
  }

  // The value of `key`, and whether it was put in just now. No more keys than were told.
  std::pair<Value*, bool> insert(const Key& key, const Value& value) {
    const std::uint64_t hash = hash_of(key);
    Slot& slot = slots_[place(key, hash)];
    const bool is_new = !slot.used;
    if (is_new) slot = {key, value, tag(hash), true};
    return {&slot.value, is_new};
  }

 private:
  struct Slot {
    Key key{};
    Value value{};
    std::uint32_t tag = 0;  // spares most comparisons of texts, which lie elsewhere
    bool used = false;
  };
  static std::uint32_t tag(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 32); }

  // Where the key is, or else where it would be put.
  std::size_t place(const Key& key, std::uint64_t hash) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = hash & mask;
    while (slots_[at].used && !(slots_[at].tag == tag(hash) && slots_[at].key == key)) {
      at = (at + 1) & mask;
    }
    return at;
  }

  std::vector<Slot> slots_;
};

}  // namespace ggmlkit::text
