// Products of weights and activations as the decoder needs them.
#pragma once

#include <cstddef>
#include <vector>

#include "core/thread_pool.h"
#include "engine/layer_matrices.h"
#include "quant/activations.h"
#include "quant/weight_matrix.h"

namespace ggmlkit::engine {

// For products without a bias, and those whose bias is added later, with the norm.
extern const std::vector<float> kNoBias;

struct Product {
  const WeightMatrix& w;
  std::size_t layer;  // and which of its matrices it is
  Matrix matrix;
  const std::vector<float>& bias;  // [rows of w], or empty

  std::size_t bytes() const;  // of the weights
  // The first row, in whole steps, at or after `bytes` of the matrix.
  std::size_t row_at(std::size_t bytes) const;
};

// Some rows of a product with some tokens, without the bias; the first of the tokens go to y, and
// they are `ldy` apart.
void multiply(const Product& p, const Activations& x, Range tokens, Range rows, float* y,
              std::size_t ldy);
// Adds the bias to what `multiply` gave.
void add_bias(const Product& p, Range rows, float* y, std::size_t ldy, std::size_t tokens);

}  // namespace ggmlkit::engine
