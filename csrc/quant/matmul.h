// y = x · Wᵀ for weights in any type.
#pragma once

#include "quant/activations.h"
#include "quant/weight_matrix.h"

namespace ggmlkit {

// y[t·ldy + r] = dot(w row r, x row t), for this thread's share of the rows of w. `x` must be
// quantized if w is packed.
void matmul_share(const WeightMatrix& w, const Activations& x, float* y, std::size_t ldy,
                  int thread, int n_threads);

// The same for a range of tokens and of rows of w, whose first result goes to y. `tokens` begins
// with a panel; `rows` begins and ends at a multiple of row_step(w), or ends at the last row.
void matmul_rows(const WeightMatrix& w, const Activations& x, Range tokens, float* y,
                 std::size_t ldy, Range rows);
std::size_t row_step(const WeightMatrix& w);

// Whether products use a type's blocks directly; others are unpacked to float16 first.
bool has_product(Type type);

// The whole product; y is tokens × w.rows(), dense.
void matmul(const WeightMatrix& w, const float* x, std::size_t tokens, float* y, ThreadPool& pool,
            int threads = 0);

}  // namespace ggmlkit
