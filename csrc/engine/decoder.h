// The forward pass of a model: chunks of tokens of any sequences in, logits out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "core/aligned.h"
#include "core/barrier.h"
#include "core/thread_pool.h"
#include "engine/adapter.h"
#include "engine/attention.h"
#include "engine/pass.h"
#include "engine/weights.h"
#include "quant/activations.h"

namespace ggmlkit::engine {

// Tokens of one forward pass at most; longer prompts are prefilled in several.
constexpr std::size_t kMaxTokens = 256;

// From which coarseness on blocks of activations are quantized in two parts, by what they are
// multiplied with, and whether panels may be converted to bfloat16; see quant/activations.h.
struct TwoParts {
  float qkv_and_gate;
  float attn_output;
  float down;
  float output;
  bool has_matrix_panels = true;
};
// Of few blocks, those whose error shows most in the logits: see docs/how-the-kernels-work.md.
constexpr TwoParts kCoarseBlocks{2, kNoBlock, 3, 0.75f};
constexpr TwoParts kAllBlocks{kEveryBlock, kEveryBlock, kEveryBlock, kEveryBlock};

// Which rows of a pass give results, and where they go. Without an output norm nothing is normed.
struct Wanted {
  std::vector<std::size_t> rows;  // ascending
  float* logits = nullptr;        // [rows][vocab]; null: not wanted
  float* hidden = nullptr;        // [rows][dim], the last layer's output, normed; null: not wanted
};

// Sees the float activations [tokens][columns] that enter matrices of a layer; output_norm is that
// of the layer behind the last. Called by one thread at a time, for all tokens of a pass.
using Observer = std::function<void(std::size_t layer, Input input, const float* x,
                                    std::size_t tokens, std::size_t columns)>;

class Decoder {
 public:
  // For passes of at most `tokens` tokens, in sequences of at most `context` positions, by at most
  // `threads` threads. The weights and the pool must outlive this.
  Decoder(const Weights& weights, KvPool& pool, std::size_t context, std::size_t tokens,
          const TwoParts& two_parts, int threads);

  // Computes a pass of 1 … `tokens` tokens, each below the vocabulary's size. The pages of its
  // chunks have room for them; keys and values go there. `observer` may be empty.
  void forward(const Pass& pass, const Wanted& wanted, ThreadPool& threads,
               const Observer& observer);

  std::size_t max_tokens() const { return max_tokens_; }
  const Config& config() const { return weights_.config(); }
  std::size_t nbytes() const;

 private:
  // Rows of tokens on their way through the layers: shared by all threads or, for a single token,
  // one copy a thread. Then every thread computes what is one row's work, which is cheaper than
  // another barrier.
  struct Rows {
    AlignedArray<float> stream;     // [tokens][dim], the residual stream
    AlignedArray<float> normed;     // [tokens][dim]
    AlignedArray<float> attended;   // [tokens][q_size]
    AlignedArray<float> projected;  // [tokens][largest_rank], A·x of the next product's adapters
    std::size_t largest_rank = 0;
    Activations normed_quantized;
    Activations attended_quantized;
    Activations hidden_quantized;
    Activations final_normed_quantized;  // for the output matrix

    explicit Rows(const TwoParts& parts)
        : normed_quantized(parts.qkv_and_gate, parts.has_matrix_panels),
          attended_quantized(parts.attn_output, parts.has_matrix_panels),
          hidden_quantized(parts.down, parts.has_matrix_panels),
          final_normed_quantized(parts.output, parts.has_matrix_panels) {}
    void reserve(std::size_t tokens, const Config& c);
    void reserve_projected(std::size_t tokens, std::size_t rank);
    void attach(std::size_t tokens, const float* hidden, const Config& c);
    std::size_t floats() const {
      return stream.size() + normed.size() + attended.size() + projected.size();
    }
  };
  struct Work;    // a pass, and how threads share it
  struct Worker;  // one thread's view of it
  // What attention or the feed-forward network adds to the stream: its product, after the bias and
  // the norm that aren't empty.
  struct Addition {
    const float* product = nullptr;            // [tokens][dim]
    const std::vector<float>* bias = nullptr;  // [dim]
    const std::vector<float>* norm = nullptr;  // [dim]
  };

  Work work_of(const Pass& pass, const AttentionPlans& plans, bool is_stored, int n_threads) const;
  void select(const Pass& pass, const std::vector<std::size_t>& rows);
  void run(const Work& all, const Work* selected, const Wanted& wanted, int thread, int n_threads);
  Worker worker(const Work& work, int thread, int n_threads);
  void copy_selected(const Worker& from, const Worker& to) const;
  void embed(const Worker& worker);
  // The two halves of a layer; `addition` is the layer before's, its product null before the first.
  void keys_and_values(const Worker& worker, std::size_t layer, const Addition& addition,
                       bool stores_all);
  void rest_of_layer(const Worker& worker, std::size_t layer);
  Addition of_attention(const LayerWeights& w) const;
  Addition of_feed_forward(const LayerWeights& w) const;
  // Adds to the stream; normed = the RMS norm of the stream, quantized for the next product, whose
  // adapters project it down.
  void add_and_norm(const Worker& worker, const Addition& addition,
                    const std::vector<float>& weight, Activations& quantized, std::size_t layer,
                    Input input);
  void add(const Addition& addition, std::size_t token, float* stream, float* scratch) const;
  void attend(const Worker& worker, std::size_t layer);
  void feed_forward(const Worker& worker, std::size_t layer);
  void hidden_rows(const Worker& worker, std::size_t layer, Range tokens, Range rows);
  void output(const Worker& worker, const Wanted& wanted);
  void output_norm(const Worker& worker, const Addition& addition);
  void soft_cap_logits(const Worker& worker, float* logits);
  void wait_at_barrier(const Worker& worker);
  // Quantizes its tokens of what enters the layer's matrices.
  void quantize(const Worker& worker, Activations& x, std::size_t layer, Input input);
  // Where other threads go on with what this one has computed.
  void wait_after_products(const Worker& worker);
  void wait_after_quantizing(const Worker& worker);

  const Weights& weights_;
  std::size_t max_tokens_;
  Attention attention_;
  AttentionPlans plans_;
  // The rows that go on through the last layer, where others don't.
  Pass selected_;
  AttentionPlans selected_plans_;
  Barrier barrier_;
  const Observer* observer_ = nullptr;  // of the pass

  // Scratch, for a pass of `tokens` tokens.
  Rows shared_;                          // [tokens]
  Rows selected_rows_;                   // [tokens], as far as they were needed
  std::vector<Rows> own_;                // [threads], one token each
  AlignedArray<float> qkv_;              // [tokens][q_size + 2·kv_size]
  AlignedArray<float> added_;            // [tokens][dim], the product of an Addition
  AlignedArray<float> hidden_;           // [tokens][ffn]
  std::vector<AlignedArray<float>> up_;  // [threads][some ffn rows of all tokens]
};

}  // namespace ggmlkit::engine
