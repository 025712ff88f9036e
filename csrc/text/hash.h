// Hashes of short texts and of numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string_view>

namespace ggmlkit::text {

// Random for each process, so that no file can be made whose texts all have the same slot.
inline std::uint64_t hash_seed() {
  static const std::uint64_t seed = [] {
    std::random_device random;
    return std::uint64_t{random()} << 32 | random();
  }();
  return seed;
}

inline std::uint64_t hash_of(std::uint64_t number) {
  __extension__ using Wide = unsigned __int128;
  constexpr std::uint64_t odd = 0x9E3779B97F4A7C15;  // 2⁶⁴ divided by the golden ratio
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

}  // namespace ggmlkit::text
