// Attention of all heads over the cached positions, and the cache.
//
// Keys and values are read once for all queries that need them: those of the heads that share them,
// and of several tokens. Softmax goes over one key range after another and rescales where a new
// maximum is found, so that no row of scores has to be kept.
#pragma once

#include <atomic>
#include <cstddef>
#include <optional>
#include <vector>

#include "core/aligned.h"
#include "core/thread_pool.h"
#include "engine/chunk.h"
#include "engine/config.h"
#include "engine/kv_cache.h"
#include "engine/rope.h"
#include "engine/weights.h"

namespace ggmlkit::engine {

// A mean of values so far: Σ e^(score - highest) · value, and the sum of those weights.
struct PartialMean {
  float* highest;  // [rows]
  float* total;    // [rows]
  float* sum;      // [rows][head_dim]
};

class Attention {
 public:
  // For passes of at most `tokens` tokens, by at most `threads` threads.
  Attention(const Weights& weights, std::size_t context, std::size_t sequences, KvType type,
            std::size_t tokens, int threads);

  std::size_t context() const { return cache_.context(); }
  std::size_t sequences() const { return cache_.sequences(); }
  std::size_t nbytes() const;

  // Rows of queries, keys and values of a pass: [tokens][q_size + 2 · kv_size].
  std::size_t row_size() const { return config_.q_size() + 2 * config_.kv_size(); }

  // A long chunk, such as a prompt: the keys and values of this thread's tokens are stored; then,
  // after a barrier, its queries attend, several tokens at a time, to `out` [tokens][q_size].
  void store(std::size_t layer, const Chunk& chunk, Range tokens, float* rows, int thread);
  void attend_long(std::size_t layer, const Chunk& chunk, const float* rows, float* out,
                   int thread);

  // A short chunk has few tokens. Of one short chunk, or of many chunks of one token, this thread's
  // share of all positions attends, and keys and values are stored first unless they are `stored`.
  // After a barrier, `combine` gives the result of one token, [q_size]. It is independent of the
  // number of threads and of the other chunks.
  bool is_short(const Chunk& chunk) const { return chunk.tokens <= short_tokens_; }
  void attend_short(std::size_t layer, const Chunk* chunks, std::size_t n_chunks, float* rows,
                    bool stored, int thread, int n_threads);
  void combine(std::size_t layer, const Chunk* chunks, std::size_t n_chunks, std::size_t token,
               float* out);

 private:
  struct Scratch {               // of one thread
    AlignedArray<float> q;       // [query rows][head_dim]
    AlignedArray<float> scores;  // [query rows][kKeyRange]
    AlignedArray<float> mean;    // a PartialMean of the query rows
  };

  // The positions that some tokens of a chunk see in a layer, from the first of a KV group on.
  Range seen_by(std::size_t layer, const Chunk& chunk, Range tokens) const;
  Range seen_by(std::size_t layer, const Chunk& chunk) const {
    return seen_by(layer, chunk, {0, chunk.tokens});
  }
  const Rope& rope(std::size_t layer) const {
    return sliding_rope_ && config_.window(layer) != 0 ? *sliding_rope_ : rope_;
  }
  void store_token(std::size_t layer, const Chunk& chunk, std::size_t token, std::size_t head,
                   float* rows);
  void load_queries(std::size_t layer, const Chunk& chunk, Range tokens, std::size_t head,
                    const float* rows, float* q) const;
  void attend(std::size_t layer, const Chunk& chunk, Range tokens, std::size_t head,
              Range positions, Scratch& scratch, const PartialMean& mean);
  void attend_slice(std::size_t layer, const Chunk& chunk, std::size_t slot, std::size_t head,
                    std::size_t slice, float* rows, bool stored, Scratch& scratch);
  float* slice_memory(const Chunk& chunk, std::size_t slot, std::size_t head, std::size_t slice);

  const Weights& weights_;
  const Config& config_;
  const KvKernels& kernels_;
  KvCache cache_;
  Rope rope_;
  std::optional<Rope> sliding_rope_;  // of layers with a window, where they have their own
  std::size_t tokens_at_once_;        // whose queries attend together
  std::size_t short_tokens_;          // of a short chunk at most
  std::vector<Scratch> scratch_;
  AlignedArray<float> slices_;  // [tokens][heads][kMostSlices] partial means
  std::atomic<std::size_t> next_item_{0};
};

}  // namespace ggmlkit::engine
