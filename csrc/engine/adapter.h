// LoRA at run time: y = W·x + B·(A·x), with W as it is. Several adapters are joined to one: their A
// are stacked by rows, and their B, which include the scales, by columns.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "engine/config.h"
#include "quant/activations.h"

namespace ggmlkit::engine {

// The update of one matrix: its B, and which rows of the down projection A belong to it.
struct AdapterUpdate {
  std::size_t first = 0;  // row of A
  std::size_t rank = 0;   // rows of A; 0: no update
  std::size_t rows = 0;   // of the matrix
  std::vector<float> b;   // [rank][rows]: a thread adds to the rows that it has computed
};

// A·x of some tokens, for all matrices that multiply the same x.
struct Projected {
  const float* values;  // [tokens][stride]
  std::size_t stride;   // the adapter's largest rank, for every product alike

  // y[t·ldy] += B·(A·x[t]) for some rows of B and some tokens, the first of which go to y.
  void add(const AdapterUpdate& update, Range rows, Range tokens, float* y, std::size_t ldy) const;
};

// A of all matrices that multiply the same activations, stacked.
class DownProjection {
 public:
  // Rows of A; 0: there is nothing to do.
  std::size_t rank() const { return rank_; }
  const float* a(std::size_t i) const { return a_.data() + i * cols_; }

  // out[t·stride] = A·x[t] for some of the tokens.
  void project(const Activations& x, Range tokens, float* out, std::size_t stride) const;

  // Adds the update B·A of one of the matrices: `a` is [rank][cols], `b` [rank][rows].
  void append(AdapterUpdate& update, std::size_t rank, std::size_t rows, std::size_t cols,
              const float* a, const float* b);

 private:
  std::size_t rank_ = 0;
  std::size_t cols_ = 0;
  std::vector<float> a_;  // [rank][cols]
};

// Each down projection stands before the updates that use it.
struct LayerUpdates {
  DownProjection of_attn_norm;
  AdapterUpdate q, k, v;
  DownProjection of_attended;
  AdapterUpdate attn_output;
  DownProjection of_ffn_norm;
  AdapterUpdate gate, up;
  DownProjection of_hidden;
  AdapterUpdate down;
};

// What all adapters of a model add to its matrices.
class Adapter {
 public:
  explicit Adapter(const Config& config);

  // W += B·A for the matrix of this gguf name: `a` is [rank][cols], `b` [rank][rows], both copied.
  // Throws std::invalid_argument for a name the decoder doesn't know, another shape than the
  // configuration needs, or a matrix that has an update already.
  void set(const std::string& name, std::size_t rank, std::size_t rows, std::size_t cols,
           const float* a, const float* b);

  const LayerUpdates& layer(std::size_t i) const { return layers_[i]; }
  const DownProjection& of_output_norm() const { return of_output_norm_; }
  const AdapterUpdate& output() const { return output_; }
  // Adds the update of a token's embedding: float32 [dim].
  void add_embedding(std::size_t token, float* out) const;

  std::size_t largest_rank() const { return largest_rank_; }
  std::size_t nbytes() const { return nbytes_; }

 private:
  struct Place;
  Place place(const std::string& name);

  Config config_;
  std::vector<LayerUpdates> layers_;
  DownProjection of_output_norm_;
  AdapterUpdate output_;
  DownProjection of_token_;  // an embedding gains rows of A, weighted by its column of B
  AdapterUpdate embedding_;
  std::size_t largest_rank_ = 0;
  std::size_t nbytes_ = 0;
};

}  // namespace ggmlkit::engine
