#include "engine/weights.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "engine/layer_matrices.h"
#include "engine/layer_name.h"
#include "quant/quantize.h"

namespace ggmlkit::engine {
namespace {

constexpr const char* kEmbeddings = "token_embd.weight";

void require(bool fact, const std::string& message) {
  if (!fact) throw std::invalid_argument(message);
}

std::string shape_text(std::size_t rows, std::size_t cols) {
  return std::to_string(rows) + " × " + std::to_string(cols);
}

// A weight of every layer: its name after "blk.N", where it lives (one of the two), its shape, and
// whether a model must have it.
struct LayerPart {
  std::string_view name;
  WeightMatrix LayerWeights::* matrix;
  std::vector<float> LayerWeights::* vector;
  std::size_t rows;
  std::size_t cols;
  bool is_needed;
};

// Where a layer has one of its matrices.
WeightMatrix LayerWeights::* member(Matrix matrix) {
  using W = LayerWeights;
  constexpr std::array<WeightMatrix W::*, 7> members{&W::q,    &W::k,  &W::v,   &W::attn_output,
                                                     &W::gate, &W::up, &W::down};
  return members[static_cast<std::size_t>(matrix)];
}

std::vector<LayerPart> layer_parts(const Config& c) {
  using W = LayerWeights;
  std::vector<LayerPart> parts{
      {".attn_norm.weight", nullptr, &W::attn_norm, 1, c.dim, true},
      {".ffn_norm.weight", nullptr, &W::ffn_norm, 1, c.dim, true},
      {".attn_q.bias", nullptr, &W::q_bias, 1, c.q_size(), false},
      {".attn_k.bias", nullptr, &W::k_bias, 1, c.kv_size(), false},
      {".attn_v.bias", nullptr, &W::v_bias, 1, c.kv_size(), false},
      {".attn_output.bias", nullptr, &W::attn_output_bias, 1, c.dim, false},
      {".ffn_gate.bias", nullptr, &W::gate_bias, 1, c.ffn, false},
      {".ffn_up.bias", nullptr, &W::up_bias, 1, c.ffn, false},
      {".ffn_down.bias", nullptr, &W::down_bias, 1, c.dim, false},
  };
  for (const LayerMatrix& m : layer_matrices(c)) {
    parts.push_back({m.name, member(m.matrix), nullptr, m.rows, m.cols, true});
  }
  if (c.has_head_norms) {
    parts.push_back({".attn_q_norm.weight", nullptr, &W::q_norm, 1, c.head_dim, true});
    parts.push_back({".attn_k_norm.weight", nullptr, &W::k_norm, 1, c.head_dim, true});
  }
  if (c.has_post_norms) {
    parts.push_back({".post_attention_norm.weight", nullptr, &W::post_attn_norm, 1, c.dim, true});
    parts.push_back({".post_ffw_norm.weight", nullptr, &W::post_ffn_norm, 1, c.dim, true});
  }
  return parts;
}

void check_rope(const RopeConfig& rope, std::size_t head_dim) {
  require(rope.dims % 2 == 0 && rope.dims <= head_dim,
          "the rotated part of a head must be even and no longer than the head");
  for (const std::vector<float>& factors : {rope.freq_factors, rope.long_freq_factors}) {
    require(factors.empty() || factors.size() == rope.dims / 2,
            "RoPE factors must be half as many as elements are rotated");
  }
  require(rope.base > 0 && rope.factor > 0, "the RoPE base and factor must be positive");
}

}  // namespace

void check(const Config& c) {
  require(c.layers && c.dim && c.heads && c.kv_heads && c.head_dim && c.ffn && c.vocab,
          "a size of the model is 0");
  require(c.heads % c.kv_heads == 0, "the query heads are no multiple of the key-value heads");
  check_rope(c.rope, c.head_dim);
  if (c.sliding_rope) check_rope(*c.sliding_rope, c.head_dim);
  require(c.windows.empty() || c.windows.size() == c.layers, "each layer must have its window");
  require(c.attn_softcap >= 0 && c.final_softcap >= 0, "a soft cap must not be negative");
}

// Where a named weight lives; exactly one of the two pointers is set.
struct Weights::Slot {
  WeightMatrix* matrix = nullptr;
  std::vector<float>* vector = nullptr;
  std::size_t rows = 0;
  std::size_t cols = 0;
};

Weights::Weights(Config config, Packing packing) : config_(std::move(config)), packing_(packing) {
  check(config_);
  layers_.resize(config_.layers);
}

Weights::Slot Weights::slot(const std::string& name) {
  const Config& c = config_;
  if (name == "output_norm.weight") return {nullptr, &output_norm_, 1, c.dim};
  if (name == "output.weight" && c.has_output) return {&output_, nullptr, c.vocab, c.dim};
  if (const auto found = layer_name(name, layers_.size())) {
    for (const LayerPart& part : layer_parts(c)) {
      if (found->own != part.name) continue;
      LayerWeights& w = layers_[found->layer];
      return {part.matrix != nullptr ? &(w.*part.matrix) : nullptr,
              part.vector != nullptr ? &(w.*part.vector) : nullptr, part.rows, part.cols};
    }
  }
  throw std::invalid_argument("tensor " + name + " has no place in this decoder");
}

void Weights::set_matrix(const std::string& name, Type type, std::size_t rows, std::size_t cols,
                         const std::byte* data) {
  const bool embeddings = name == kEmbeddings;
  const Slot place = embeddings ? Slot{nullptr, nullptr, config_.vocab, config_.dim} : slot(name);
  require(place.vector == nullptr, "tensor " + name + " must be a vector");
  require(rows == place.rows && cols == place.cols,
          "tensor " + name + " is " + shape_text(rows, cols) + ", the model needs " +
              shape_text(place.rows, place.cols));
  require(can_dequantize(type), "tensor " + name + " has type " + info(type).name +
                                    ", which this build cannot compute with");
  if (embeddings) {
    require(cols % info(type).block_size == 0, "rows of " + name + " are no whole blocks");
    embedding_type_ = type;
    embeddings_ = data;
  } else {
    *place.matrix = WeightMatrix(type, rows, cols, data, arena_, packing_);
    // Set twice, it is packed once.
    const bool waits =
        std::find(unpacked_.begin(), unpacked_.end(), place.matrix) != unpacked_.end();
    if (!waits) unpacked_.push_back(place.matrix);
  }
}

bool Weights::keeps_data(const std::string& name) {
  return name == kEmbeddings || slot(name).matrix->file_data() != nullptr;
}

void Weights::set_vector(const std::string& name, const float* data, std::size_t n) {
  const Slot place = slot(name);
  require(place.vector != nullptr, "tensor " + name + " must be a matrix");
  require(n == place.cols, "tensor " + name + " has " + std::to_string(n) +
                               " elements, the model needs " + std::to_string(place.cols));
  place.vector->assign(data, data + n);
}

void Weights::pack(ThreadPool& pool, int threads) {
  ggmlkit::pack(unpacked_, pool, threads);
  unpacked_.clear();
}

void Weights::finish(ThreadPool& pool, int threads) {
  require(embeddings_ != nullptr, std::string("tensor ") + kEmbeddings + " is missing");
  const std::vector<LayerPart> parts = layer_parts(config_);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    for (const LayerPart& part : parts) {
      const LayerWeights& w = layers_[i];
      const bool is_set =
          part.matrix != nullptr ? (w.*part.matrix).rows() != 0 : !(w.*part.vector).empty();
      require(is_set || !part.is_needed,
              "tensor blk." + std::to_string(i) + std::string(part.name) + " is missing");
    }
  }
  require(!output_norm_.empty() || !config_.has_output, "tensor output_norm.weight is missing");
  if (output_.rows() == 0 && config_.has_output) {
    output_ =
        WeightMatrix(embedding_type_, config_.vocab, config_.dim, embeddings_, arena_, packing_);
    unpacked_.push_back(&output_);
  }
  pack(pool, threads);
}

std::vector<const WeightMatrix*> Weights::matrices() const {
  std::vector<const WeightMatrix*> all;
  if (config_.has_output) all.push_back(&output_);
  for (const LayerWeights& w : layers_) {
    all.insert(all.end(), {&w.q, &w.k, &w.v, &w.attn_output, &w.gate, &w.up, &w.down});
  }
  return all;
}

int Weights::lock() const {
  for (const WeightMatrix* w : matrices()) {
    const bool own = w->nbytes() != 0;
    const std::byte* data = own ? w->own_data() : w->file_data();
    const std::size_t bytes = own ? w->nbytes() : w->rows() * row_bytes(w->type(), w->cols());
    if (mlock(data, bytes) != 0) return errno;
  }
  return 0;
}

void Weights::embed(std::size_t token, float* out) const {
  const std::size_t stride = row_bytes(embedding_type_, config_.dim);
  dequantize_row(embedding_type_, embeddings_ + token * stride, out, config_.dim);
}

std::size_t Weights::nbytes() const {
  std::size_t total = 0;
  for (const WeightMatrix* w : matrices()) total += w->nbytes();
  return total;
}

}  // namespace ggmlkit::engine
