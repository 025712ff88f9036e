// Keys and values of the tokens so far, in float16.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>

#include "core/aligned.h"
#include "llama/config.h"

namespace ggmlkit::llama {

// Each head's rows lie together, so that attention reads them in order.
class KvCache {
 public:
  KvCache(const Config& c, std::size_t context)
      : context_(context),
        kv_heads_(c.kv_heads),
        head_dim_(c.head_dim),
        keys_(elements(c, context)),
        values_(elements(c, context)) {}

  std::size_t context() const { return context_; }

  // The first row of a head: [context][head_dim].
  std::uint16_t* keys(std::size_t layer, std::size_t head) {
    return keys_.data() + at(layer, head);
  }
  std::uint16_t* values(std::size_t layer, std::size_t head) {
    return values_.data() + at(layer, head);
  }
  std::size_t nbytes() const { return 2 * sizeof(std::uint16_t) * keys_.size(); }

 private:
  static std::size_t elements(const Config& c, std::size_t context) {
    // A quarter of the address space stands for "no machine has that": what follows can't overflow.
    constexpr std::size_t most = std::numeric_limits<std::size_t>::max() / 4;
    const std::size_t per_token = c.layers * c.kv_size();
    if (context > most / sizeof(std::uint16_t) / per_token) throw std::bad_alloc();
    return context * per_token;
  }
  std::size_t at(std::size_t layer, std::size_t head) const {
    return (layer * kv_heads_ + head) * context_ * head_dim_;
  }

  std::size_t context_;
  std::size_t kv_heads_;
  std::size_t head_dim_;
  AlignedArray<std::uint16_t> keys_;    // [layers][kv_heads][context][head_dim]
  AlignedArray<std::uint16_t> values_;  // the same
};

}  // namespace ggmlkit::llama
