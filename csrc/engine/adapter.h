// LoRA at run time: y = W·x + B·(A·x), the weights W as they are. Of several adapters the A stand
// below each other and the B, which have the scales in them, beside each other, as one.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "engine/config.h"
#include "quant/activations.h"

namespace ggmlkit::llama {

// What one matrix gains.
struct Change {
  std::size_t first = 0;  // where its part of A·x begins
  std::size_t rank = 0;   // how long that is; 0: the matrix gains nothing
  std::size_t rows = 0;
  std::vector<float> b;  // [rank][rows]: a thread adds to just the rows that it has made
};

// A·x of some tokens, for all matrices that multiply the same x.
struct Low {
  const float* values;  // [tokens][stride]
  std::size_t stride;   // the adapter's largest rank: a token's place is its own for every product

  // y[t·ldy] += B·(A·x[t]) for some rows of B and some tokens, the first of which go to y.
  void add(const Change& change, Range rows, Range tokens, float* y, std::size_t ldy) const;
};

// The changes of matrices that multiply the same activations.
class Changes {
 public:
  // Of all together; 0: there is nothing to do.
  std::size_t rank() const { return rank_; }
  const float* a(std::size_t i) const { return a_.data() + i * cols_; }

  // low[t·stride] = A·x[t] for some of the tokens.
  void project(const Activations& x, Range tokens, float* low, std::size_t stride) const;

  // W += B·A for one of the matrices: `a` is [rank][cols], `b` [rank][rows].
  void append(Change& change, std::size_t rank, std::size_t rows, std::size_t cols, const float* a,
              const float* b);

 private:
  std::size_t rank_ = 0;
  std::size_t cols_ = 0;
  std::vector<float> a_;  // [rank][cols]
};

struct LayerChanges {
  Changes of_attn_norm;
  Change q, k, v;
  Changes of_attended;
  Change attn_output;
  Changes of_ffn_norm;
  Change gate, up;
  Changes of_hidden;
  Change down;
};

// What all adapters of a model add to its matrices.
class Adapter {
 public:
  explicit Adapter(const Config& config);

  // W += B·A for the matrix of this gguf name: `a` is [rank][cols], `b` [rank][rows], both copied.
  // Throws std::invalid_argument for a name the decoder doesn't know, another shape than the
  // configuration asks for, or a matrix that was changed already.
  void set(const std::string& name, std::size_t rank, std::size_t rows, std::size_t cols,
           const float* a, const float* b);

  const LayerChanges& layer(std::size_t i) const { return layers_[i]; }
  const Changes& of_output_norm() const { return of_output_norm_; }
  const Change& output() const { return output_; }
  // Adds what the embedding of a token gains: float32 [dim].
  void add_embedding(std::size_t token, float* out) const;

  std::size_t largest_rank() const { return largest_rank_; }
  std::size_t nbytes() const { return nbytes_; }

 private:
  struct Place;
  Place place(const std::string& name);

  Config config_;
  std::vector<LayerChanges> layers_;
  Changes of_output_norm_;
  Change output_;
  Changes of_token_;  // an embedding gains rows of A, as many times as its column of B says
  Change embedding_;
  std::size_t largest_rank_ = 0;
  std::size_t nbytes_ = 0;
};

}  // namespace ggmlkit::llama
