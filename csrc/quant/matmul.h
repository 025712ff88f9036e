// y = x · Wᵀ for weights in any type.
#pragma once

#include "quant/activations.h"
#include "quant/weight_matrix.h"

namespace ggmlkit {

// y[t·ldy + r] = dot(w row r, x row t), for this thread's share of the rows of w. `x` must be
// quantized where w is packed.
void matmul_share(const WeightMatrix& w, const Activations& x, float* y, std::size_t ldy,
                  int thread, int n_threads);

// The same for some tokens and some rows of w, the first of which go to y. `tokens` begins with a
// panel; `rows` begins, and ends unless at the last row, at a multiple of row_step(w).
void matmul_rows(const WeightMatrix& w, const Activations& x, Range tokens, float* y,
                 std::size_t ldy, Range rows);
std::size_t row_step(const WeightMatrix& w);

// Whether products take a type's values as they are; others are unpacked to float16 first.
bool has_product(Type type);

// The whole product; y is tokens × w.rows(), dense.
void matmul(const WeightMatrix& w, const float* x, std::size_t tokens, float* y, ThreadPool& pool,
            int threads = 0);

}  // namespace ggmlkit
