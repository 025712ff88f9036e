#include "engine/product.h"

#include <algorithm>

#include "kernels/kernel_table.h"
#include "quant/matmul.h"

namespace ggmlkit::engine {
namespace {

std::size_t bytes_of_row(const WeightMatrix& w) { return row_bytes(w.type(), w.cols()); }

}  // namespace

const std::vector<float> kNoBias;

std::size_t Product::bytes() const { return w.rows() * bytes_of_row(w); }

std::size_t Product::row_at(std::size_t bytes) const {
  const std::size_t step = row_step(w);
  const std::size_t step_bytes = step * bytes_of_row(w);
  return std::min(w.rows(), (bytes + step_bytes - 1) / step_bytes * step);
}

void multiply(const Product& p, const Activations& x, Range tokens, Range rows, float* y,
              std::size_t ldy) {
  matmul_rows(p.w, x, tokens, y, ldy, rows);
}

void add_bias(const Product& p, Range rows, float* y, std::size_t ldy, std::size_t tokens) {
  if (p.bias.empty()) return;
  for (std::size_t t = 0; t < tokens; ++t, y += ldy) {
    active().add_scaled(1.0f, p.bias.data() + rows.begin, y, rows.size());
  }
}

}  // namespace ggmlkit::engine
