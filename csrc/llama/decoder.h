// One context of a model: its cache, its scratch memory, and the forward pass.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/aligned.h"
#include "core/thread_pool.h"
#include "llama/barrier.h"
#include "llama/kv_cache.h"
#include "llama/rope.h"
#include "llama/weights.h"
#include "quant/activations.h"

namespace ggmlkit::llama {

// Tokens of one forward pass. A prompt is processed in tiles of this size.
constexpr std::size_t kTile = 256;

class Decoder {
 public:
  // All memory is taken here. `threads` = 0 uses the whole pool. The weights must outlive this.
  Decoder(const Weights& weights, std::size_t context, ThreadPool& pool, int threads);

  // Appends 1 … kTile tokens, each below the vocabulary's size, that fit the context. `logits`
  // receives [vocab] for the last token, or [n][vocab] where `all` is set; may be null.
  void forward(const std::int32_t* tokens, std::size_t n, float* logits, bool all);

  // Forgets the tokens from `position` on.
  void truncate(std::size_t position) { position_ = std::min(position, position_); }

  std::size_t position() const { return position_; }
  std::size_t context() const { return cache_.context(); }
  const Config& config() const { return weights_.config(); }
  std::size_t nbytes() const;

 private:
  struct Pass;  // what the threads of one forward pass share
  void run(const Pass& pass, int thread, int n_threads);
  void attention_block(const LayerWeights& w, std::size_t layer, const Pass& pass, int thread,
                       int n_threads);
  void feed_forward_block(const LayerWeights& w, const Pass& pass, int thread, int n_threads);
  void output_logits(const Pass& pass, int thread, int n_threads);
  // stream += delta (if any); normed = the RMS norm of the stream, rounded for the next product.
  void add_and_norm(const float* delta, const std::vector<float>& weight, std::size_t n, int thread,
                    int n_threads);
  void round_activations(Activations& a, int thread, int n_threads);
  void rotate_and_store(std::size_t layer, std::size_t n, int thread, int n_threads);
  void attend(std::size_t layer, std::size_t n, int thread, int n_threads);
  void attend_one(std::size_t layer, std::size_t token, std::size_t head, float* scores);

  const Weights& weights_;
  ThreadPool& pool_;
  int threads_;
  KvCache cache_;
  Rope rope_;
  Barrier barrier_;
  std::size_t position_ = 0;

  // Scratch, for kTile tokens.
  AlignedArray<float> stream_;    // [kTile][dim], the residual stream
  AlignedArray<float> normed_;    // [kTile][dim]
  AlignedArray<float> q_;         // [kTile][heads·head_dim]
  AlignedArray<float> k_;         // [kTile][kv_heads·head_dim]
  AlignedArray<float> v_;         // [kTile][kv_heads·head_dim]
  AlignedArray<float> attended_;  // [kTile][heads·head_dim]
  AlignedArray<float> delta_;     // [kTile][dim], what a block adds to the stream
  AlignedArray<float> gate_;      // [kTile][ffn]
  AlignedArray<float> up_;        // [kTile][ffn]
  Activations normed_rounded_;
  Activations attended_rounded_;
  Activations hidden_rounded_;
  Activations last_rounded_;
};

}  // namespace ggmlkit::llama
