// Attention of all heads over the cached positions.
//
// Keys and values are read once for all queries that need them: those of the heads that share them,
// and of several tokens. Softmax goes over one page after another and rescales where a new maximum
// is found, so that no row of scores has to be kept.
#pragma once

#include <atomic>
#include <cstddef>
#include <optional>
#include <vector>

#include "core/aligned.h"
#include "core/thread_pool.h"
#include "engine/attention_plan.h"
#include "engine/config.h"
#include "engine/kv_pool.h"
#include "engine/pass.h"
#include "engine/rope.h"
#include "engine/weights.h"

namespace ggmlkit::engine {

// A mean of values so far: Σ e^(score - highest) · value, and the sum of those weights.
struct PartialMean {
  float* highest;  // [rows]
  float* total;    // [rows]
  float* sum;      // [rows][head_dim]
};

// The plans of a pass, one for each window that layers have.
class AttentionPlans {
 public:
  AttentionPlans(const Config& c, std::size_t most_tokens, std::size_t short_tokens);

  void plan(const Pass& pass);
  const AttentionPlan& of(std::size_t layer) const { return plans_[kinds_[layer]]; }
  bool store_themselves() const { return plans_.front().stores_itself(); }
  std::size_t partial_floats() const;

 private:
  std::vector<AttentionPlan> plans_;
  std::vector<std::size_t> kinds_;  // [layers], which plan
};

class Attention {
 public:
  // For sequences of at most `context` positions, by at most `threads` threads.
  Attention(const Weights& weights, KvPool& pool, std::size_t context, int threads);

  std::size_t nbytes() const;

  // Rows of queries, keys and values of a pass: [tokens][q_size + 2 · kv_size].
  std::size_t row_size() const { return config_.q_size() + 2 * config_.kv_size(); }
  AttentionPlans new_plans() const { return {config_, most_tokens_, short_tokens_}; }
  // Room for the partial means of a planned pass.
  void reserve(const AttentionPlans& plans);

  // Stores the keys and values of some tokens of a pass. All threads must be done with the layer
  // before, and wait at a barrier before they attend.
  void store(std::size_t layer, const Pass& pass, Range tokens, float* rows, int thread);

  // This thread's share of the work. What belongs to whole tokens goes to `out` [kept][q_size]. Of
  // short chunks there are means of slices then, which `combine` makes a token's result of, after a
  // barrier. Keys and values are stored first, unless they are `stored`.
  void attend(std::size_t layer, const Pass& pass, const AttentionPlans& plans, float* rows,
              float* out, bool stored, int thread, int n_threads);
  // The result of each token of short chunks, of some of the kept rows, to `out` [kept][q_size].
  void combine(std::size_t layer, const Pass& pass, const AttentionPlans& plans, Range kept,
               float* out);

 private:
  struct Scratch {               // of one thread
    AlignedArray<float> q;       // [query rows][head_dim]
    AlignedArray<float> scores;  // [query rows][kPage]
    AlignedArray<float> slice;   // PartialMeans of the query rows: of one slice,
    AlignedArray<float> mean;    // and of the slices so far
  };

  const Rope& rope(std::size_t layer) const {
    return sliding_rope_ && config_.window(layer) != 0 ? *sliding_rope_ : rope_;
  }
  void store_token(std::size_t layer, const Chunk& chunk, std::size_t token, std::size_t head,
                   float* rows);
  void load_queries(std::size_t layer, const Chunk& chunk, Range tokens, std::size_t head,
                    const float* rows, float* q) const;
  // `before`: the item whose queries lie in `scratch`; null if there is none.
  void attend_item(std::size_t layer, const Pass& pass, const AttentionItem& item,
                   const AttentionItem* before, float* rows, float* out, bool stored,
                   Scratch& scratch);
  // A mean of values, as attention gives it, of their weighted sum and the weights' total.
  void finish(float total, const float* sum, float* out) const;
  void attend_slice(std::size_t layer, const Chunk& chunk, const AttentionItem& item,
                    Range positions, Scratch& scratch, const PartialMean& mean);

  const Weights& weights_;
  const Config& config_;
  KvPool& pool_;
  const KvKernels& keys_;
  const KvKernels& values_;
  std::size_t key_group_bytes_;
  std::size_t value_group_bytes_;
  // Whether keys and queries, or values and what attention gives, are transformed, as the type has
  // few levels; and the factor of what was transformed twice.
  bool spreads_keys_;
  bool spreads_values_;
  float spread_scale_;
  Rope rope_;
  std::optional<Rope> sliding_rope_;  // of layers with a window, where they have their own
  std::size_t most_tokens_;           // whose queries attend together
  std::size_t short_tokens_;          // of a short chunk at most
  std::vector<Scratch> scratch_;
  AlignedArray<float> partials_;
  std::atomic<std::size_t> next_item_{0};
};

}  // namespace ggmlkit::engine
