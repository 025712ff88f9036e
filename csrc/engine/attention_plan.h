// How the attention of a pass is cut into pieces of work for threads.
//
// A softmax over many positions is a mean of slices, cut at multiples of kSlice, that are merged in
// their order. So a token's result depends on its position alone: neither on the tokens beside it,
// nor on threads, nor on which piece of work computes a slice.
#pragma once

#include <cstddef>
#include <vector>

#include "core/thread_pool.h"
#include "engine/pass.h"

namespace ggmlkit::engine {

constexpr std::size_t kSlice = 128;  // positions; a multiple of kPage

// Some tokens of a chunk and one head of keys, with positions of one slice or of all that the
// tokens see.
struct AttentionItem {
  std::size_t chunk;
  std::size_t head;
  Range tokens;         // of the chunk
  Range positions;      // from the first of a page on
  std::size_t partial;  // where the mean of one slice goes, in floats; kWhole: the result follows

  static constexpr std::size_t kWhole = static_cast<std::size_t>(-1);

  bool has_queries_of(const AttentionItem& other) const {
    return chunk == other.chunk && head == other.head && tokens.begin == other.tokens.begin;
  }
};

// The slices that hold some positions.
inline Range slices_of(Range positions) {
  return {positions.begin / kSlice, (positions.end + kSlice - 1) / kSlice};
}

// The positions that some tokens of a chunk see, from the first of a page on; 0: no window.
inline Range seen_by(const Chunk& chunk, Range tokens, std::size_t window) {
  const std::size_t first_end = chunk.start + tokens.begin + 1;
  const std::size_t first = window != 0 && first_end > window ? first_end - window : 0;
  return {first / kPage * kPage, chunk.start + tokens.end};
}

class AttentionPlan {
 public:
  struct Sizes {
    std::size_t window;  // of the layers planned for; 0: none
    std::size_t kv_heads;
    std::size_t group;  // query heads for each of them
    std::size_t head_dim;
    std::size_t most_tokens;   // that attend together
    std::size_t short_tokens;  // chunks of at most so many are cut by slices
  };
  explicit AttentionPlan(const Sizes& sizes) : sizes_(sizes) {}

  void plan(const Pass& pass);

  std::size_t window() const { return sizes_.window; }
  // Those of whole tokens come first, and of these the ones that see most.
  const std::vector<AttentionItem>& items() const { return items_; }
  // Whether the keys and values that an item reads of the pass are its own tokens': whoever
  // computes it stores them as well, and no barrier is needed before.
  bool stores_itself() const { return stores_itself_; }
  // A thread's share of items that store themselves, by what they cost.
  Range share(int thread, int n_threads) const;

  // Floats of all partial means.
  std::size_t partial_floats() const { return partial_floats_; }
  // Where a short chunk's mean of one head and slice lies: the highest score, the total and the sum
  // [rows][head_dim], rows being those of all its tokens.
  std::size_t partial_of(std::size_t chunk, std::size_t head, std::size_t slice) const;
  bool is_short(std::size_t chunk) const { return short_[chunk].rows != 0; }
  Range slices(std::size_t chunk) const { return short_[chunk].slices; }

 private:
  struct ShortChunk {
    std::size_t first = 0;  // float
    std::size_t rows = 0;   // of one head; 0: the chunk isn't short
    Range slices{0, 0};
  };
  void add_whole(const Pass& pass, std::size_t chunk);
  void add_short(const Pass& pass, std::size_t chunk);

  Sizes sizes_;
  std::vector<AttentionItem> items_;
  std::vector<ShortChunk> short_;   // [chunks]
  std::vector<std::size_t> costs_;  // [items + 1], positions before each
  std::size_t partial_floats_ = 0;
  bool stores_itself_ = true;
};

}  // namespace ggmlkit::engine
