#include "llama/decoder.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/kernel_table.h"
#include "quant/matmul.h"

namespace ggmlkit::llama {
namespace {

// Positions whose scores are computed before their values are summed; one block fits the stack.
constexpr std::size_t kKeyBlock = 64;

float sum_of_squares(const float* x, std::size_t n) {
  // Eight partial sums: short rounding errors, and vector code without reordering by the compiler.
  float partial[8] = {};
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (std::size_t j = 0; j < 8; ++j) partial[j] += x[i + j] * x[i + j];
  }
  for (; i < n; ++i) partial[i % 8] += x[i] * x[i];
  float total = 0;
  for (const float p : partial) total += p;
  return total;
}

void rms_norm(const float* x, const float* weight, float eps, float* out, std::size_t n) {
  const float scale = 1.0f / std::sqrt(sum_of_squares(x, n) / static_cast<float>(n) + eps);
  for (std::size_t i = 0; i < n; ++i) out[i] = x[i] * scale * weight[i];
}

}  // namespace

struct Decoder::Pass {
  const std::int32_t* tokens;
  std::size_t n;
  float* logits;
  bool all;
};

Decoder::Decoder(const Weights& weights, std::size_t context, ThreadPool& pool, int threads)
    : weights_(weights),
      pool_(pool),
      threads_(threads),
      cache_(weights.config(), context),
      rope_(weights.config().rope, context) {
  const Config& c = weights.config();
  const std::size_t tile = std::min(kTile, context);
  stream_.resize(tile * c.dim);
  normed_.resize(tile * c.dim);
  q_.resize(tile * c.q_size());
  k_.resize(tile * c.kv_size());
  v_.resize(tile * c.kv_size());
  attended_.resize(tile * c.q_size());
  delta_.resize(tile * c.dim);
  gate_.resize(tile * c.ffn);
  up_.resize(tile * c.ffn);
  normed_rounded_.reserve(tile, c.dim);
  attended_rounded_.reserve(tile, c.q_size());
  hidden_rounded_.reserve(tile, c.ffn);
  last_rounded_.reserve(1, c.dim);
}

std::size_t Decoder::nbytes() const {
  const std::size_t floats = stream_.size() + normed_.size() + q_.size() + k_.size() + v_.size() +
                             attended_.size() + delta_.size() + gate_.size() + up_.size();
  return cache_.nbytes() + floats * sizeof(float);
}

void Decoder::forward(const std::int32_t* tokens, std::size_t n, float* logits, bool all) {
  const Config& c = config();
  normed_rounded_.attach(normed_.data(), n, c.dim);
  attended_rounded_.attach(attended_.data(), n, c.q_size());
  hidden_rounded_.attach(gate_.data(), n, c.ffn);
  last_rounded_.attach(normed_.data() + (n - 1) * c.dim, 1, c.dim);
  const Pass pass{tokens, n, logits, all};
  pool_.run([&](int thread, int n_threads) { run(pass, thread, n_threads); }, threads_);
  position_ += n;
}

void Decoder::run(const Pass& pass, int thread, int n_threads) {
  const Range mine = split(pass.n, thread, n_threads);
  for (std::size_t t = mine.begin; t < mine.end; ++t) {
    weights_.embed(static_cast<std::size_t>(pass.tokens[t]), stream_.data() + t * config().dim);
  }
  const float* delta = nullptr;
  const auto& layers = weights_.layers();
  for (std::size_t i = 0; i < layers.size(); ++i) {
    add_and_norm(delta, layers[i].attn_norm, pass.n, thread, n_threads);
    attention_block(layers[i], i, pass, thread, n_threads);
    add_and_norm(delta_.data(), layers[i].ffn_norm, pass.n, thread, n_threads);
    feed_forward_block(layers[i], pass, thread, n_threads);
    delta = delta_.data();
  }
  if (pass.logits == nullptr) return;
  add_and_norm(delta, weights_.output_norm(), pass.n, thread, n_threads);
  output_logits(pass, thread, n_threads);
}

void Decoder::add_and_norm(const float* delta, const std::vector<float>& weight, std::size_t n,
                           int thread, int n_threads) {
  const std::size_t dim = config().dim;
  const Range mine = split(n, thread, n_threads);
  for (std::size_t t = mine.begin; t < mine.end; ++t) {
    float* x = stream_.data() + t * dim;
    if (delta != nullptr) {
      for (std::size_t i = 0; i < dim; ++i) x[i] += delta[t * dim + i];
    }
    rms_norm(x, weight.data(), config().norm_eps, normed_.data() + t * dim, dim);
  }
  if (n == 1) {  // one thread holds the only row: it rounds it too, and saves a meeting
    if (mine.begin != mine.end) normed_rounded_.quantize_share(0, 1);
    barrier_.wait(n_threads);
    return;
  }
  barrier_.wait(n_threads);
  round_activations(normed_rounded_, thread, n_threads);
}

void Decoder::round_activations(Activations& a, int thread, int n_threads) {
  a.quantize_share(thread, n_threads);
  barrier_.wait(n_threads);
}

void Decoder::attention_block(const LayerWeights& w, std::size_t layer, const Pass& pass,
                              int thread, int n_threads) {
  const Config& c = config();
  matmul_share(w.q, normed_rounded_, q_.data(), c.q_size(), thread, n_threads);
  matmul_share(w.k, normed_rounded_, k_.data(), c.kv_size(), thread, n_threads);
  matmul_share(w.v, normed_rounded_, v_.data(), c.kv_size(), thread, n_threads);
  barrier_.wait(n_threads);
  rotate_and_store(layer, pass.n, thread, n_threads);
  barrier_.wait(n_threads);
  attend(layer, pass.n, thread, n_threads);
  barrier_.wait(n_threads);
  round_activations(attended_rounded_, thread, n_threads);
  matmul_share(w.attn_output, attended_rounded_, delta_.data(), c.dim, thread, n_threads);
  barrier_.wait(n_threads);
}

void Decoder::rotate_and_store(std::size_t layer, std::size_t n, int thread, int n_threads) {
  const Config& c = config();
  const TypeKernels& half = active().types[static_cast<std::size_t>(Type::f16)];
  const float scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
  const auto store = [&](const float* row, std::uint16_t* at) {
    half.quantize(row, reinterpret_cast<std::byte*>(at), c.head_dim);
  };
  const Range mine = split(n * c.kv_heads, thread, n_threads);
  for (std::size_t i = mine.begin; i < mine.end; ++i) {
    const std::size_t token = i / c.kv_heads;
    const std::size_t head = i % c.kv_heads;
    const std::size_t position = position_ + token;
    float* k = k_.data() + i * c.head_dim;
    rope_.rotate(k, position);
    store(k, cache_.keys(layer, head) + position * c.head_dim);
    store(v_.data() + i * c.head_dim, cache_.values(layer, head) + position * c.head_dim);
    float* q = q_.data() + token * c.q_size() + head * c.group() * c.head_dim;
    for (std::size_t h = 0; h < c.group(); ++h, q += c.head_dim) {
      rope_.rotate(q, position);
      for (std::size_t j = 0; j < c.head_dim; ++j) q[j] *= scale;
    }
  }
}

void Decoder::attend(std::size_t layer, std::size_t n, int thread, int n_threads) {
  const Config& c = config();
  float scores[kKeyBlock];
  // Later tokens see more positions: deal the tokens out in turn rather than in runs.
  const std::size_t items = n * c.heads;
  for (auto i = static_cast<std::size_t>(thread); i < items;
       i += static_cast<std::size_t>(n_threads)) {
    attend_one(layer, i % n, i / n, scores);
  }
}

// Softmax over blocks of positions, rescaled as a new maximum turns up, so that no row of scores
// has to be kept.
void Decoder::attend_one(std::size_t layer, std::size_t token, std::size_t head, float* scores) {
  const Config& c = config();
  const KernelTable& kernels = active();
  const std::size_t d = c.head_dim;
  const std::size_t kv_head = head / c.group();
  const std::uint16_t* keys = cache_.keys(layer, kv_head);
  const std::uint16_t* values = cache_.values(layer, kv_head);
  const float* q = q_.data() + token * c.q_size() + head * d;
  float* out = attended_.data() + token * c.q_size() + head * d;
  std::fill(out, out + d, 0.0f);
  float highest = -std::numeric_limits<float>::infinity();
  float total = 0;
  const std::size_t seen = position_ + token + 1;
  for (std::size_t start = 0; start < seen; start += kKeyBlock) {
    const std::size_t count = std::min(kKeyBlock, seen - start);
    float block_highest = highest;
    for (std::size_t i = 0; i < count; ++i) {
      scores[i] = kernels.dot_f16(q, keys + (start + i) * d, d);
      block_highest = std::max(block_highest, scores[i]);
    }
    if (block_highest > highest) {
      const float shrink = std::exp(highest - block_highest);
      for (std::size_t j = 0; j < d; ++j) out[j] *= shrink;
      total *= shrink;
      highest = block_highest;
    }
    for (std::size_t i = 0; i < count; ++i) {
      const float weight = std::exp(scores[i] - highest);
      total += weight;
      kernels.axpy_f16(weight, values + (start + i) * d, out, d);
    }
  }
  for (std::size_t j = 0; j < d; ++j) out[j] /= total;
}

void Decoder::feed_forward_block(const LayerWeights& w, const Pass& pass, int thread,
                                 int n_threads) {
  const Config& c = config();
  matmul_share(w.gate, normed_rounded_, gate_.data(), c.ffn, thread, n_threads);
  matmul_share(w.up, normed_rounded_, up_.data(), c.ffn, thread, n_threads);
  barrier_.wait(n_threads);
  // Shares of four blocks, as quantize_share splits them: each thread rounds what it computed.
  const Range mine = split(pass.n * c.ffn, thread, n_threads, 4 * kBlock);
  active().silu_mul(gate_.data() + mine.begin, up_.data() + mine.begin, gate_.data() + mine.begin,
                    mine.end - mine.begin);
  round_activations(hidden_rounded_, thread, n_threads);
  matmul_share(w.down, hidden_rounded_, delta_.data(), c.dim, thread, n_threads);
  barrier_.wait(n_threads);
}

void Decoder::output_logits(const Pass& pass, int thread, int n_threads) {
  const Config& c = config();
  if (pass.all) {
    matmul_share(weights_.output(), normed_rounded_, pass.logits, c.vocab, thread, n_threads);
    return;
  }
  round_activations(last_rounded_, thread, n_threads);
  matmul_share(weights_.output(), last_rounded_, pass.logits, c.vocab, thread, n_threads);
}

}  // namespace ggmlkit::llama
