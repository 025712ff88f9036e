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
#include "engine/weights.h"
#include "quant/activations.h"

namespace ggmlkit::llama {

// Tokens of one forward pass at most; longer prompts are read in tiles of this size.
constexpr std::size_t kTile = 256;

// From which coarseness on blocks of activations are rounded in two parts, by what they are
// multiplied with; see quant/activations.h.
struct TwoParts {
  float qkv_and_gate;
  float attn_output;
  float down;
  float output;
};
// Of few blocks, those whose rounding shows most in the logits: see docs/how-the-kernels-work.md.
constexpr TwoParts kCoarseBlocks{2, kNoBlock, 3, 0.75f};
constexpr TwoParts kAllBlocks{kEveryBlock, kEveryBlock, kEveryBlock, kEveryBlock};

class Decoder {
 public:
  // All memory is taken here: `sequences` contexts. At most `threads` threads take part. The
  // weights and what is added to them must outlive this.
  Decoder(const Weights& weights, const Adapter& adapter, std::size_t context,
          std::size_t sequences, KvType type, const TwoParts& two_parts, int threads);

  // Appends 1 … kTile tokens, each below the vocabulary's size, that fit the sequence's context.
  // `logits` receives [vocab] for the last token, or [n][vocab] where `all` is set; may be null.
  void forward(std::size_t sequence, const std::int32_t* tokens, std::size_t n, float* logits,
               bool all, ThreadPool& pool);

  // Appends one token to each of 1 … kTile different sequences; `logits` receives [n][vocab].
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
  // Rows on their way through the layers: all threads' together or, for a single token, a copy of
  // each thread's own. What is one row's work is then done by all, which is quicker than to meet.
  struct Rows {
    AlignedArray<float> stream;    // [tokens][dim], the residual stream
    AlignedArray<float> normed;    // [tokens][dim]
    AlignedArray<float> attended;  // [tokens][q_size]
    AlignedArray<float> low;       // [tokens][low_stride], A·x of the next product
    std::size_t low_stride = 0;    // the adapter's largest rank
    Activations normed_rounded;
    Activations attended_rounded;
    Activations hidden_rounded;
    Activations last_normed_rounded;  // for the output matrix

    explicit Rows(const TwoParts& parts)
        : normed_rounded(parts.qkv_and_gate),
          attended_rounded(parts.attn_output),
          hidden_rounded(parts.down),
          last_normed_rounded(parts.output) {}
    void reserve(std::size_t tokens, const Config& c, std::size_t rank);
    void attach(std::size_t tokens, const float* hidden, const Config& c);
    std::size_t floats() const {
      return stream.size() + normed.size() + attended.size() + low.size();
    }
  };
  struct Pass;  // the tokens of one forward pass, and what is wanted of them
  struct Part;  // one thread's view of it
  // What a block adds to the stream: its product, after the bias and the norm that aren't empty.
  struct Addition {
    const float* product = nullptr;            // [tokens][dim]
    const std::vector<float>* bias = nullptr;  // [dim]
    const std::vector<float>* norm = nullptr;  // [dim]
  };

  void forward(const Pass& pass, ThreadPool& pool);
  void run(const Pass& pass, int thread, int n_threads);
  void embed(const Part& part);
  // The two halves of a layer; `addition` is the layer before's, its product null before the first.
  void keys_and_values(const Part& part, std::size_t layer, const Addition& addition);
  void rest_of_layer(const Part& part, std::size_t layer);
  Addition of_attention(const LayerWeights& w) const;
  Addition of_feed_forward(const LayerWeights& w) const;
  // Adds to the stream; normed = the RMS norm of the stream, rounded for the next product,
  // which `changes` belong to.
  void add_and_norm(const Part& part, const Addition& addition, const std::vector<float>& weight,
                    Activations& rounded, const Changes& changes);
  void add(const Addition& addition, std::size_t token, float* stream, float* scratch) const;
  void attend(const Part& part, std::size_t layer);
  void feed_forward(const Part& part, std::size_t layer);
  void hidden_rows(const Part& part, std::size_t layer, Range tokens, Range rows);
  void output_logits(const Part& part, const Addition& addition);
  void cap_logits(const Part& part, std::size_t tokens);
  void meet(const Part& part);
  // Where others go on with what this thread has made.
  void meet_after_products(const Part& part);
  void meet_after_rounding(const Part& part);

  const Weights& weights_;
  const Adapter& adapter_;
  Attention attention_;
  Barrier barrier_;
  std::vector<std::size_t> positions_;  // of each sequence: where its next token goes
  std::vector<Run> runs_;               // of the pass

  // Scratch, for a pass of `tokens` tokens.
  Rows shared_;                          // [tokens]
  std::vector<Rows> own_;                // [threads], one token each
  AlignedArray<float> qkv_;              // [tokens][q_size + 2·kv_size]
  AlignedArray<float> delta_;            // [tokens][dim], what a block adds to the stream
  AlignedArray<float> hidden_;           // [tokens][ffn]
  std::vector<AlignedArray<float>> up_;  // [threads][some ffn rows of all tokens]
};

}  // namespace ggmlkit::llama
