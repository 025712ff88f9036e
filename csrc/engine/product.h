// Products of weights and activations as the decoder needs them: with biases and adapter updates.
#pragma once

#include <cstddef>
#include <vector>

#include "core/thread_pool.h"
#include "engine/adapter.h"
#include "quant/activations.h"
#include "quant/weight_matrix.h"

namespace ggmlkit::engine {

// For products without a bias, and those whose bias is added later, with the norm.
extern const std::vector<float> kNoBias;

struct Product {
  const WeightMatrix& w;
  const AdapterUpdate& update;
  const std::vector<float>& bias;  // [rows of w], or empty

  std::size_t bytes() const;  // of the weights
  // The first row, in whole steps, at or after `bytes` of the matrix.
  std::size_t row_at(std::size_t bytes) const;
};

// Some rows of a product with some tokens, the first of which go to y; tokens are `ldy` apart.
// `projected` is A·x of the adapters.
void multiply(const Product& p, const Activations& x, const Projected& projected, Range tokens,
              Range rows, float* y, std::size_t ldy);

}  // namespace ggmlkit::engine
