// LoRA at run time: y = W·x + B·(A·x), with W as it is. Several adapters are joined to one: their A
// are stacked by rows, and their B, which include the scales, by columns.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "engine/config.h"
#include "engine/layer_matrices.h"
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

// What some adapters add to a model's matrices. Sequences share it.
class Adapter {
 public:
  explicit Adapter(const Config& config);

  // W += B·A for the matrix of this gguf name: `a` is [rank][cols], `b` [rank][rows], both copied.
  // Throws std::invalid_argument for a name the decoder doesn't know, another shape than the
  // configuration needs, or a matrix that has an update already.
  void set(const std::string& name, std::size_t rank, std::size_t rows, std::size_t cols,
           const float* a, const float* b);

  // The output matrix has the layer behind the last.
  const AdapterUpdate& update(std::size_t layer, Matrix matrix) const {
    return layers_[layer].updates[static_cast<std::size_t>(matrix)];
  }
  const DownProjection& projection(std::size_t layer, Input input) const {
    return layers_[layer].projections[static_cast<std::size_t>(input)];
  }
  // Adds the update of a token's embedding: float32 [dim].
  void add_embedding(std::size_t token, float* out) const;

  // Never 0, and no other adapter's.
  std::uint64_t id() const { return id_; }
  std::size_t largest_rank() const { return largest_rank_; }
  std::size_t nbytes() const { return nbytes_; }

 private:
  struct Layer {
    std::array<AdapterUpdate, kMatrices> updates;
    std::array<DownProjection, kInputs> projections;
  };
  struct Place;
  Place place(const std::string& name);

  Config config_;
  std::vector<Layer> layers_;  // [layers + 1]
  DownProjection of_token_;    // an embedding gains rows of A, weighted by its column of B
  AdapterUpdate embedding_;
  std::size_t largest_rank_ = 0;
  std::size_t nbytes_ = 0;
  std::uint64_t id_;
};

}  // namespace ggmlkit::engine
