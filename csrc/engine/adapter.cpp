#include "engine/adapter.h"

#include <algorithm>
#include <stdexcept>
#include <string_view>

#include "engine/layer_name.h"
#include "kernels/kernel_table.h"

namespace ggmlkit::engine {
namespace {

// A matrix of every layer: its name after "blk.N", its update and the
// down projection of its input, and its shape.
struct LayerPart {
  std::string_view name;
  DownProjection LayerUpdates::* projection;
  AdapterUpdate LayerUpdates::* update;
  std::size_t rows;
  std::size_t cols;
};

std::vector<LayerPart> layer_parts(const Config& c) {
  using L = LayerUpdates;
  return {
      {".attn_q.weight", &L::of_attn_norm, &L::q, c.q_size(), c.dim},
      {".attn_k.weight", &L::of_attn_norm, &L::k, c.kv_size(), c.dim},
      {".attn_v.weight", &L::of_attn_norm, &L::v, c.kv_size(), c.dim},
      {".attn_output.weight", &L::of_attended, &L::attn_output, c.dim, c.q_size()},
      {".ffn_gate.weight", &L::of_ffn_norm, &L::gate, c.ffn, c.dim},
      {".ffn_up.weight", &L::of_ffn_norm, &L::up, c.ffn, c.dim},
      {".ffn_down.weight", &L::of_hidden, &L::down, c.dim, c.ffn},
  };
}

}  // namespace

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

Adapter::Adapter(const Config& config) : config_(config), layers_(config.layers) {}

Adapter::Place Adapter::place(const std::string& name) {
  const Config& c = config_;
  if (name == "token_embd.weight") return {&of_token_, &embedding_, c.vocab, c.dim};
  if (name == "output.weight") return {&of_output_norm_, &output_, c.vocab, c.dim};
  if (const auto found = layer_name(name, layers_.size())) {
    for (const LayerPart& part : layer_parts(c)) {
      if (found->own != part.name) continue;
      LayerUpdates& updates = layers_[found->layer];
      return {&(updates.*part.projection), &(updates.*part.update), part.rows, part.cols};
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
