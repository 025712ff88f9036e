// Keys and values of the tokens so far, of every sequence.
#pragma once

#include <cstddef>
#include <new>

#include "core/aligned.h"
#include "engine/config.h"
#include "kernels/kernel_table.h"

namespace ggmlkit::engine {

// Each head's groups of positions lie together, so that attention reads them in order.
class KvCache {
 public:
  // Throws std::bad_alloc where `sequences` contexts are more than a machine can have.
  KvCache(const Config& c, std::size_t context, std::size_t sequences, KvType type);

  KvType type() const { return type_; }
  std::size_t context() const { return context_; }
  std::size_t sequences() const { return sequences_; }
  std::size_t group_bytes() const { return group_bytes_; }
  std::size_t nbytes() const { return keys_.size() + values_.size(); }

  // The group of a head that holds a position.
  std::byte* keys(std::size_t layer, std::size_t sequence, std::size_t head, std::size_t position) {
    return keys_.data() + at(layer, sequence, head, position);
  }
  std::byte* values(std::size_t layer, std::size_t sequence, std::size_t head,
                    std::size_t position) {
    return values_.data() + at(layer, sequence, head, position);
  }

 private:
  std::size_t at(std::size_t layer, std::size_t sequence, std::size_t head,
                 std::size_t position) const {
    const std::size_t first = ((layer * sequences_ + sequence) * kv_heads_ + head) * groups_;
    return (first + position / kKvGroup) * group_bytes_;
  }

  std::size_t context_;
  std::size_t sequences_;
  std::size_t kv_heads_;
  KvType type_;
  std::size_t groups_;  // of one head
  std::size_t group_bytes_;
  AlignedArray<std::byte> keys_;    // [layers][sequences][kv_heads][groups][group_bytes]
  AlignedArray<std::byte> values_;  // the same
};

}  // namespace ggmlkit::engine
