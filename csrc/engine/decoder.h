// One model at work: its sequences, its scratch memory, and the forward pass.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/aligned.h"
#include "core/barrier.h"
#include "core/thread_pool.h"
#include "engine/adapter.h"
#include "engine/attention.h"
#include "engine/chunk.h"
#include "engine/weights.h"
#include "quant/activations.h"

namespace ggmlkit::engine {

// Tokens of one forward pass at most; longer prompts are prefilled in chunks of this size.
constexpr std::size_t kMaxTokens = 256;

// From which coarseness on blocks of activations are quantized in two parts, by what they are
// multiplied with; see quant/activations.h.
struct TwoParts {
  float qkv_and_gate;
  float attn_output;
  float down;
  float output;
};
// Of few blocks, those whose error shows most in the logits: see docs/how-the-kernels-work.md.
constexpr TwoParts kCoarseBlocks{2, kNoBlock, 3, 0.75f};
constexpr TwoParts kAllBlocks{kEveryBlock, kEveryBlock, kEveryBlock, kEveryBlock};

class Decoder {
 public:
  // All memory is allocated here: `sequences` contexts. At most `threads` threads take part. The
  // weights and the adapter must outlive this.
  Decoder(const Weights& weights, const Adapter& adapter, std::size_t context,
          std::size_t sequences, KvType type, const TwoParts& two_parts, int threads);

  // Appends 1 … kMaxTokens tokens, each below the vocabulary's size, that fit the sequence's
  // context. `logits` receives [vocab] for the last token, or [n][vocab] where `all` is set; may be
  // null.
  void forward(std::size_t sequence, const std::int32_t* tokens, std::size_t n, float* logits,
               bool all, ThreadPool& pool);

  // Appends one token to each of 1 … kMaxTokens different sequences; `logits` receives [n][vocab].
  void forward_each(const std::size_t* sequences, const std::int32_t* tokens, std::size_t n,
                    float* logits, ThreadPool& pool);

  // Forgets a sequence's tokens from `position` on.
  void truncate(std::size_t sequence, std::size_t position) {
    positions_[sequence] = std::min(position, positions_[sequence]);
  }

  std::size_t position(std::size_t sequence) const { return positions_[sequence]; }
  std::size_t sequences() const { return positions_.size(); }
  std::size_t context() const { return attention_.context(); }
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
        : normed_quantized(parts.qkv_and_gate),
          attended_quantized(parts.attn_output),
          hidden_quantized(parts.down),
          final_normed_quantized(parts.output) {}
    void reserve(std::size_t tokens, const Config& c, std::size_t rank);
    void attach(std::size_t tokens, const float* hidden, const Config& c);
    std::size_t floats() const {
      return stream.size() + normed.size() + attended.size() + projected.size();
    }
  };
  struct Batch;   // the tokens of one forward pass, and which logits are wanted
  struct Worker;  // one thread's view of it
  struct LastToken;
  // What attention or the feed-forward network adds to the stream: its product, after the bias and
  // the norm that aren't empty.
  struct Addition {
    const float* product = nullptr;            // [tokens][dim]
    const std::vector<float>* bias = nullptr;  // [dim]
    const std::vector<float>* norm = nullptr;  // [dim]
  };

  void forward(const Batch& batch, ThreadPool& pool);
  void run(const Batch& batch, int thread, int n_threads);
  void embed(const Worker& worker);
  // The two halves of a layer; `addition` is the layer before's, its product null before the first.
  void keys_and_values(const Worker& worker, std::size_t layer, const Addition& addition);
  void rest_of_layer(const Worker& worker, std::size_t layer);
  Addition of_attention(const LayerWeights& w) const;
  Addition of_feed_forward(const LayerWeights& w) const;
  // Adds to the stream; normed = the RMS norm of the stream, quantized for the next product, whose
  // adapters have this down projection.
  void add_and_norm(const Worker& worker, const Addition& addition,
                    const std::vector<float>& weight, Activations& quantized,
                    const DownProjection& projection);
  void add(const Addition& addition, std::size_t token, float* stream, float* scratch) const;
  void attend(const Worker& worker, std::size_t layer);
  void feed_forward(const Worker& worker, std::size_t layer);
  void hidden_rows(const Worker& worker, std::size_t layer, Range tokens, Range rows);
  void output_logits(const Worker& worker, const Addition& addition);
  void soft_cap_logits(const Worker& worker);
  void wait_at_barrier(const Worker& worker);
  // Where other threads go on with what this one has computed.
  void wait_after_products(const Worker& worker);
  void wait_after_quantizing(const Worker& worker);

  const Weights& weights_;
  const Adapter& adapter_;
  Attention attention_;
  Barrier barrier_;
  std::vector<std::size_t> positions_;  // of each sequence: where its next token goes
  std::vector<Chunk> chunks_;           // of the pass

  // Scratch, for a pass of `tokens` tokens.
  Rows shared_;                          // [tokens]
  std::vector<Rows> own_;                // [threads], one token each
  AlignedArray<float> qkv_;              // [tokens][q_size + 2·kv_size]
  AlignedArray<float> added_;            // [tokens][dim], the product of an Addition
  AlignedArray<float> hidden_;           // [tokens][ffn]
  std::vector<AlignedArray<float>> up_;  // [threads][some ffn rows of all tokens]
};

}  // namespace ggmlkit::engine
