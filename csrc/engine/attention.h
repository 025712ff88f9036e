// Attention of all heads over the cached positions, and the cache.
//
// Keys and values are read once for all queries that need them: the heads of a group, and a tile of
// tokens. Softmax runs over blocks of positions, rescaled as a new maximum turns up, so that no
// row of scores has to be kept.
#pragma once

#include <atomic>
#include <cstddef>
#include <optional>
#include <vector>

#include "core/aligned.h"
#include "core/thread_pool.h"
#include "engine/config.h"
#include "engine/kv_cache.h"
#include "engine/rope.h"
#include "engine/weights.h"

namespace ggmlkit::llama {

// Tokens of one forward pass that follow each other in one sequence.
struct Run {
  std::size_t sequence;
  std::size_t start;  // position of the first token
  std::size_t tokens;
  std::size_t row;  // of the first token, among all of the pass
};

// A mean of values under way: Σ e^(score - highest) · value, and the sum of those weights.
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

  // A long run, such as a prompt: its keys and values are stored, those of this thread's tokens;
  // then tiles of its queries attend, to `out` [tokens][q_size]. The threads meet in between.
  void store(std::size_t layer, const Run& run, Range tokens, float* rows, int thread);
  void attend_tiles(std::size_t layer, const Run& run, const float* rows, float* out, int thread);

  // A short run has few tokens. Of one short run or of many runs of one token, this thread's share
  // of all positions attends, keys and values being stored on the way unless they are `stored`;
  // after the threads have met, `combine` gives the result of one token, [q_size]. It does not
  // depend on the number of threads nor on the other runs.
  bool is_short(const Run& run) const { return run.tokens <= short_tokens_; }
  void attend_chunks(std::size_t layer, const Run* runs, std::size_t n_runs, float* rows,
                     bool stored, int thread, int n_threads);
  void combine(std::size_t layer, const Run* runs, std::size_t n_runs, std::size_t token,
               float* out);

 private:
  struct Scratch {               // of one thread
    AlignedArray<float> q;       // [tile rows][head_dim]
    AlignedArray<float> scores;  // [tile rows][kKeyBlock]
    AlignedArray<float> mean;    // a PartialMean of the tile's rows
  };

  // What some tokens of a run see in a layer, all in all, from the first position of a group.
  Range seen_by(std::size_t layer, const Run& run, Range tokens) const;
  Range seen_by(std::size_t layer, const Run& run) const {
    return seen_by(layer, run, {0, run.tokens});
  }
  const Rope& rope(std::size_t layer) const {
    return sliding_rope_ && config_.window(layer) != 0 ? *sliding_rope_ : rope_;
  }
  void store_token(std::size_t layer, const Run& run, std::size_t token, std::size_t head,
                   float* rows);
  void load_queries(std::size_t layer, const Run& run, Range tokens, std::size_t head,
                    const float* rows, float* q) const;
  void attend(std::size_t layer, const Run& run, Range tokens, std::size_t head, Range positions,
              Scratch& scratch, const PartialMean& mean);
  void attend_chunk(std::size_t layer, const Run& run, std::size_t slot, std::size_t head,
                    std::size_t chunk, float* rows, bool stored, Scratch& scratch);
  float* chunk_memory(const Run& run, std::size_t slot, std::size_t head, std::size_t chunk);

  const Weights& weights_;
  const Config& config_;
  const KvKernels& kernels_;
  KvCache cache_;
  Rope rope_;
  std::optional<Rope> sliding_rope_;  // of layers with a window, where they have their own
  std::size_t tile_tokens_;           // whose queries are taken together
  std::size_t short_tokens_;          // of a short run at most
  std::vector<Scratch> scratch_;
  AlignedArray<float> chunks_;  // [tokens][heads][kMostChunks] partial means
  std::atomic<std::size_t> next_tile_{0};
};

}  // namespace ggmlkit::llama
