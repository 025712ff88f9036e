#include "engine/adapter.h"

#include <algorithm>
#include <atomic>
#include <stdexcept>

#include "engine/layer_name.h"
#include "kernels/kernel_table.h"

namespace ggmlkit::engine {
void Projected::add(const AdapterUpdate& update, Range rows, Range tokens, float* y,
                    std::size_t ldy) const {
  const std::size_t count = rows.size();
  for (std::size_t t = tokens.begin; update.rank != 0 && t < tokens.end; ++t, y += ldy) {
    const float* a_x = values + t * stride + update.first;
    for (std::size_t i = 0; i < update.rank; ++i) {
      active().add_scaled(a_x[i], update.b.data() + i * update.rows + rows.begin, y, count);
    }
  }
}

void DownProjection::project(const Activations& x, Range tokens, float* out,
                             std::size_t stride) const {
  if (rank_ == 0 || tokens.begin == tokens.end) return;
  active().matmul_f32(reinterpret_cast<const std::byte*>(a_.data()), rank_, cols_,
                      x.rows() + tokens.begin * cols_, tokens.size(), out + tokens.begin * stride,
                      stride);
}

void DownProjection::append(AdapterUpdate& update, std::size_t rank, std::size_t rows,
                            std::size_t cols, const float* a, const float* b) {
  update.first = rank_;
  update.rank = rank;
  update.rows = rows;
  update.b.assign(b, b + rank * rows);
  cols_ = cols;
  rank_ += rank;
  a_.insert(a_.end(), a, a + rank * cols);
}

struct Adapter::Place {
  DownProjection* projection;
  AdapterUpdate* update;
  std::size_t rows;
  std::size_t cols;
};

Adapter::Adapter(const Config& config) : config_(config), layers_(config.layers + 1) {
  static std::atomic<std::uint64_t> made{0};
  id_ = ++made;
}

Adapter::Place Adapter::place(const std::string& name) {
  const Config& c = config_;
  const auto at = [&](std::size_t layer, Matrix matrix, Input input, std::size_t rows,
                      std::size_t cols) -> Place {
    return {&layers_[layer].projections[static_cast<std::size_t>(input)],
            &layers_[layer].updates[static_cast<std::size_t>(matrix)], rows, cols};
  };
  if (name == "token_embd.weight") return {&of_token_, &embedding_, c.vocab, c.dim};
  if (name == "output.weight") {
    return at(c.layers, Matrix::output, Input::output_norm, c.vocab, c.dim);
  }
  if (const auto found = layer_name(name, c.layers)) {
    for (const LayerMatrix& m : layer_matrices(c)) {
      if (found->own == m.name) return at(found->layer, m.matrix, m.input, m.rows, m.cols);
    }
  }
  throw std::invalid_argument("an adapter can't change " + name + " while the model runs");
}

void Adapter::set(const std::string& name, std::size_t rank, std::size_t rows, std::size_t cols,
                  const float* a, const float* b) {
  const Place where = place(name);
  if (rows != where.rows || cols != where.cols) {
    throw std::invalid_argument("the adapter's update of " + name + " is " + std::to_string(rows) +
                                " × " + std::to_string(cols) + ", the model needs " +
                                std::to_string(where.rows) + " × " + std::to_string(where.cols));
  }
  if (where.update->rank != 0)
    throw std::invalid_argument(name + " has an adapter's update already");
  where.projection->append(*where.update, rank, rows, cols, a, b);
  largest_rank_ = std::max(largest_rank_, where.projection->rank());
  nbytes_ += rank * (rows + cols) * sizeof(float);
}

void Adapter::add_embedding(std::size_t token, float* out) const {
  for (std::size_t i = 0; i < embedding_.rank; ++i) {
    active().add_scaled(embedding_.b[i * embedding_.rows + token], of_token_.a(i), out,
                        config_.dim);
  }
}

}  // namespace ggmlkit::engine
