// The weights of a model, set by their gguf names and checked against the configuration.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "core/types.h"
#include "engine/config.h"
#include "quant/weight_matrix.h"

namespace ggmlkit::engine {

struct LayerWeights {
  std::vector<float> attn_norm;  // [dim]
  WeightMatrix q;                // heads·head_dim × dim
  WeightMatrix k;                // kv_heads·head_dim × dim
  WeightMatrix v;                // kv_heads·head_dim × dim
  WeightMatrix attn_output;      // dim × heads·head_dim
  std::vector<float> ffn_norm;   // [dim]
  WeightMatrix gate;             // ffn × dim
  WeightMatrix up;               // ffn × dim
  WeightMatrix down;             // dim × ffn

  // Of each query and each key; empty unless the configuration has head norms.
  std::vector<float> q_norm;  // [head_dim]
  std::vector<float> k_norm;  // [head_dim]
  // Of what attention and the feed-forward network add to the stream; empty unless the
  // configuration has post norms.
  std::vector<float> post_attn_norm;  // [dim]
  std::vector<float> post_ffn_norm;   // [dim]
  // As long as their matrix has rows, or empty where the file has none.
  std::vector<float> q_bias, k_bias, v_bias, attn_output_bias, gate_bias, up_bias, down_bias;
};

class Weights {
 public:
  // With Packing::at_use the matrices are used in the file's layout.
  explicit Weights(Config config, Packing packing = Packing::at_load);

  // One matrix in file layout: `rows` × row_bytes(type, cols) bytes at `data`, which must last
  // until it is packed. Float types, token_embd and what is packed at use keep pointing there, so
  // it must outlive the weights. Throws std::invalid_argument for a name the decoder doesn't know,
  // another shape than the configuration needs, or a type without a kernel.
  void set_matrix(const std::string& name, Type type, std::size_t rows, std::size_t cols,
                  const std::byte* data);
  void set_vector(const std::string& name, const float* data, std::size_t n);

  // Whether a matrix that was set points at the data it was set from.
  bool keeps_data(const std::string& name);

  // Packs the matrices that were set since it was called last.
  void pack(ThreadPool& pool, int threads);

  // Ends the loading: ties the output to the embeddings where a model with one has none of its own,
  // and throws std::invalid_argument, with the name, for a weight that was never set.
  void finish(ThreadPool& pool, int threads);

  // Keeps the packed weights in memory. Returns 0, or the errno of the first refusal.
  int lock() const;

  // The embedding of one token: float32 [dim].
  void embed(std::size_t token, float* out) const;

  const Config& config() const { return config_; }
  const std::vector<LayerWeights>& layers() const { return layers_; }
  const std::vector<float>& output_norm() const { return output_norm_; }
  const WeightMatrix& output() const { return output_; }
  std::size_t nbytes() const;

 private:
  struct Slot;
  Slot slot(const std::string& name);
  std::vector<const WeightMatrix*> matrices() const;

  Config config_;
  Arena arena_;
  Packing packing_;
  std::vector<WeightMatrix*> unpacked_;
  std::vector<LayerWeights> layers_;
  std::vector<float> output_norm_;  // [dim]; may be empty where there is no output
  WeightMatrix output_;             // vocab × dim
  Type embedding_type_ = Type::f32;
  const std::byte* embeddings_ = nullptr;  // vocab rows in file layout
};

}  // namespace ggmlkit::engine
