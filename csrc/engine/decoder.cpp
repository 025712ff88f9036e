#include "engine/decoder.h"

#include <algorithm>

#include "engine/product.h"
#include "kernels/kernel_table.h"

namespace ggmlkit::engine {
namespace {

// Values of the gate and of the up projection that a thread computes at a time: they are still in
// its second-level cache when it multiplies and quantizes them.
constexpr std::size_t kHiddenValues = 24 * 1024;

std::size_t rows_at_a_time(std::size_t tokens) {
  return std::max(kBlock, kHiddenValues / tokens / kBlock * kBlock);
}

// From so many tokens a thread on, each keeps to its own: what it computes stays in its own cache,
// and barriers are for keys and values alone. Fewer would read all weights for too little work.
constexpr std::size_t kTokensOfThread = 64;

// How threads share the work of a pass.
enum class WorkSplit {
  copies,    // a single token's row is normed and quantized by every thread, each for itself
  by_rows,   // of the matrices: each thread has some rows, with all tokens
  by_tokens  // each thread has some tokens, with all rows
};

}  // namespace

struct Decoder::Batch {
  const std::int32_t* tokens;
  const Chunk* chunks;
  std::size_t n_chunks;
  std::size_t n;   // tokens
  float* logits;   // null: not wanted
  bool all;        // whether every token's are wanted
  bool is_long;    // keys and values are stored before queries attend
  bool is_stored;  // or they are stored already
};

struct Decoder::Worker {
  const Batch& batch;
  Rows& rows;
  WorkSplit work_split;
  int thread;
  int n_threads;

  // The tokens that this thread quantizes, and computes what it takes for.
  Range own_tokens(const Activations& x) const {
    if (work_split == WorkSplit::copies) return {0, 1};
    if (work_split == WorkSplit::by_rows) return x.share(thread, n_threads);
    return split(batch.n, thread, n_threads, active().panel);
  }
  // The tokens that it multiplies.
  Range multiplied_tokens(const Activations& x) const {
    return work_split == WorkSplit::by_tokens ? own_tokens(x) : Range{0, batch.n};
  }
  // Quantizes its tokens of x, and projects them down for adapters of the next product.
  void quantize(Activations& x, const DownProjection& projection) const {
    x.quantize_rows(own_tokens(x));
    projection.project(x, own_tokens(x), rows.projected.data(), rows.largest_rank);
  }
  Projected projected() const { return {rows.projected.data(), rows.largest_rank}; }

  // Its share of several products of x, as if their matrices were one: equal bytes of weights.
  // y[i] is where the first token's first row of product i goes.
  template <std::size_t n>
  void multiply_share(const Product (&products)[n], float* const (&y)[n], const Activations& x,
                      std::size_t ldy) const {
    std::size_t all = 0;
    for (const Product& p : products) all += p.bytes();
    const Range bytes =
        work_split == WorkSplit::by_tokens ? Range{0, all} : split(all, thread, n_threads);
    const Range tokens = multiplied_tokens(x);
    std::size_t before = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const Product& p = products[i];
      const auto row = [&](std::size_t at) { return at <= before ? 0 : p.row_at(at - before); };
      const Range share{row(bytes.begin), row(bytes.end)};
      if (share.size() != 0) {
        multiply(p, x, projected(), tokens, share, y[i] + tokens.begin * ldy + share.begin, ldy);
      }
      before += p.bytes();
    }
  }
};

// The last token of a chunk alone: every thread goes on with a copy of its row.
struct Decoder::LastToken {
  Chunk chunk;
  Batch batch;
  Worker worker;

  LastToken(const Worker& all, Rows& own, std::size_t dim)
      : chunk(last_of(all.batch.chunks[0])),
        batch{all.batch.tokens + chunk.row, &chunk, 1, 1, all.batch.logits, true, false, true},
        worker{batch, own, WorkSplit::copies, all.thread, all.n_threads} {
    const float* row = all.rows.stream.data() + chunk.row * dim;
    std::copy(row, row + dim, own.stream.data());
  }
  LastToken(const LastToken&) = delete;  // as its parts refer to each other
  LastToken& operator=(const LastToken&) = delete;

  static Chunk last_of(const Chunk& chunk) {
    const std::size_t before = chunk.tokens - 1;
    return {chunk.sequence, chunk.start + before, 1, chunk.row + before};
  }
};

void Decoder::Rows::reserve(std::size_t tokens, const Config& c, std::size_t rank) {
  stream.resize(tokens * c.dim);
  normed.resize(tokens * c.dim);
  attended.resize(tokens * c.q_size());
  projected.resize(tokens * rank);
  largest_rank = rank;
  normed_quantized.reserve(tokens, c.dim);
  attended_quantized.reserve(tokens, c.q_size());
  hidden_quantized.reserve(tokens, c.ffn);
  final_normed_quantized.reserve(tokens, c.dim);
}

void Decoder::Rows::attach(std::size_t tokens, const float* hidden, const Config& c) {
  normed_quantized.attach(normed.data(), tokens, c.dim);
  attended_quantized.attach(attended.data(), tokens, c.q_size());
  hidden_quantized.attach(hidden, tokens, c.ffn);
  final_normed_quantized.attach(normed.data(), tokens, c.dim);
}

Decoder::Decoder(const Weights& weights, const Adapter& adapter, std::size_t context,
                 std::size_t sequences, KvType type, const TwoParts& two_parts, int threads)
    : weights_(weights),
      adapter_(adapter),
      attention_(weights, context, sequences, type, kMaxTokens, threads),
      positions_(sequences, 0),
      shared_(two_parts),
      up_(static_cast<std::size_t>(threads)) {
  const Config& c = weights.config();
  const std::size_t tokens = std::min(kMaxTokens, std::max(context, sequences));
  chunks_.resize(tokens);
  shared_.reserve(tokens, c, adapter.largest_rank());
  qkv_.resize(tokens * attention_.row_size());
  added_.resize(tokens * c.dim);
  hidden_.resize(tokens * c.ffn);
  for (auto& up : up_) up.resize(std::max(kHiddenValues, kBlock * tokens));
  own_.reserve(static_cast<std::size_t>(threads));
  for (int t = 0; t < threads; ++t) {
    Rows& rows = own_.emplace_back(two_parts);
    rows.reserve(1, c, adapter.largest_rank());
    rows.attach(1, hidden_.data(), c);
  }
}

std::size_t Decoder::nbytes() const {
  std::size_t floats = shared_.floats() + qkv_.size() + added_.size() + hidden_.size();
  for (const Rows& rows : own_) floats += rows.floats();
  for (const auto& up : up_) floats += up.size();
  return attention_.nbytes() + floats * sizeof(float);
}

void Decoder::forward(std::size_t sequence, const std::int32_t* tokens, std::size_t n,
                      float* logits, bool all, ThreadPool& pool) {
  chunks_[0] = {sequence, positions_[sequence], n, 0};
  const bool is_long = !attention_.is_short(chunks_[0]);
  forward({tokens, chunks_.data(), 1, n, logits, all, is_long, false}, pool);
}

void Decoder::forward_each(const std::size_t* sequences, const std::int32_t* tokens, std::size_t n,
                           float* logits, ThreadPool& pool) {
  for (std::size_t i = 0; i < n; ++i) chunks_[i] = {sequences[i], positions_[sequences[i]], 1, i};
  forward({tokens, chunks_.data(), n, n, logits, true, false, false}, pool);
}

void Decoder::forward(const Batch& batch, ThreadPool& pool) {
  shared_.attach(batch.n, hidden_.data(), config());
  pool.run([&](int thread, int n_threads) { run(batch, thread, n_threads); },
           static_cast<int>(own_.size()));
  for (std::size_t i = 0; i < batch.n_chunks; ++i) {
    positions_[batch.chunks[i].sequence] += batch.chunks[i].tokens;
  }
}

void Decoder::wait_at_barrier(const Worker& worker) { barrier_.wait(worker.n_threads); }

void Decoder::wait_after_products(const Worker& worker) {
  if (worker.work_split != WorkSplit::by_tokens) wait_at_barrier(worker);
}

void Decoder::wait_after_quantizing(const Worker& worker) {
  if (worker.work_split == WorkSplit::by_rows) wait_at_barrier(worker);
}

void Decoder::run(const Batch& batch, int thread, int n_threads) {
  const bool single = batch.n == 1;
  Rows& own = own_[static_cast<std::size_t>(thread)];
  const bool long_enough = batch.n >= static_cast<std::size_t>(n_threads) * kTokensOfThread;
  const WorkSplit work_split = single                         ? WorkSplit::copies
                               : batch.is_long && long_enough ? WorkSplit::by_tokens
                                                              : WorkSplit::by_rows;
  const Worker worker{batch, single ? own : shared_, work_split, thread, n_threads};
  const std::size_t last = config().layers - 1;
  Addition addition;
  embed(worker);
  for (std::size_t layer = 0; layer < last; ++layer) {
    keys_and_values(worker, layer, addition);
    rest_of_layer(worker, layer);
    addition = of_feed_forward(weights_.layers()[layer]);
  }
  keys_and_values(worker, last, addition);
  addition = of_feed_forward(weights_.layers()[last]);
  // Of a long chunk, later tokens need just the last layer's keys and values, which are stored.
  const bool last_only = batch.is_long && !batch.all;
  if (!last_only) rest_of_layer(worker, last);
  if (batch.logits == nullptr) return;
  if (batch.all || single) {
    output_logits(worker, addition);
    return;
  }
  const LastToken end(worker, own, config().dim);
  if (last_only) {
    rest_of_layer(end.worker, last);
  } else {
    addition.product += end.chunk.row * config().dim;
  }
  output_logits(end.worker, addition);
}

void Decoder::embed(const Worker& worker) {
  const Range tokens = worker.own_tokens(worker.rows.normed_quantized);
  const float scale = config().embedding_scale;
  for (std::size_t t = tokens.begin; t < tokens.end; ++t) {
    const auto token = static_cast<std::size_t>(worker.batch.tokens[t]);
    float* x = worker.rows.stream.data() + t * config().dim;
    weights_.embed(token, x);
    adapter_.add_embedding(token, x);
    if (scale != 1.0f) active().scale(scale, x, x, config().dim);
  }
}

Decoder::Addition Decoder::of_attention(const LayerWeights& w) const {
  return {added_.data(), &w.attn_output_bias, &w.post_attn_norm};
}

Decoder::Addition Decoder::of_feed_forward(const LayerWeights& w) const {
  return {added_.data(), &w.down_bias, &w.post_ffn_norm};
}

void Decoder::add(const Addition& addition, std::size_t token, float* stream,
                  float* scratch) const {
  if (addition.product == nullptr) return;
  const std::size_t dim = config().dim;
  const KernelTable& kernels = active();
  const float* x = addition.product + token * dim;
  if (!addition.bias->empty()) {
    std::copy(x, x + dim, scratch);
    kernels.add_scaled(1.0f, addition.bias->data(), scratch, dim);
    x = scratch;
  }
  if (!addition.norm->empty()) {
    kernels.rms_norm(x, addition.norm->data(), config().norm_eps, scratch, dim);
    x = scratch;
  }
  kernels.add_scaled(1.0f, x, stream, dim);
}

void Decoder::add_and_norm(const Worker& worker, const Addition& addition,
                           const std::vector<float>& weight, Activations& quantized,
                           const DownProjection& projection) {
  const std::size_t dim = config().dim;
  const KernelTable& kernels = active();
  const Range tokens = worker.own_tokens(quantized);
  for (std::size_t t = tokens.begin; t < tokens.end; ++t) {
    float* x = worker.rows.stream.data() + t * dim;
    float* normed = worker.rows.normed.data() + t * dim;
    add(addition, t, x, normed);
    kernels.rms_norm(x, weight.data(), config().norm_eps, normed, dim);
  }
  worker.quantize(quantized, projection);
  wait_after_quantizing(worker);
}

void Decoder::keys_and_values(const Worker& worker, std::size_t layer, const Addition& addition) {
  const Config& c = config();
  const LayerWeights& w = weights_.layers()[layer];
  const LayerUpdates& updates = adapter_.layer(layer);
  add_and_norm(worker, addition, w.attn_norm, worker.rows.normed_quantized, updates.of_attn_norm);
  float* q = qkv_.data();
  float* k = q + c.q_size();
  float* v = k + c.kv_size();
  worker.multiply_share(
      {{w.q, updates.q, w.q_bias}, {w.k, updates.k, w.k_bias}, {w.v, updates.v, w.v_bias}},
      {q, k, v}, worker.rows.normed_quantized, attention_.row_size());
  wait_after_products(worker);
  if (!worker.batch.is_long) return;
  attention_.store(layer, worker.batch.chunks[0], worker.own_tokens(worker.rows.normed_quantized),
                   qkv_.data(), worker.thread);
  wait_at_barrier(worker);
}

void Decoder::rest_of_layer(const Worker& worker, std::size_t layer) {
  const LayerWeights& w = weights_.layers()[layer];
  const LayerUpdates& updates = adapter_.layer(layer);
  attend(worker, layer);
  worker.multiply_share({{w.attn_output, updates.attn_output, kNoBias}}, {added_.data()},
                        worker.rows.attended_quantized, config().dim);
  wait_after_products(worker);
  add_and_norm(worker, of_attention(w), w.ffn_norm, worker.rows.normed_quantized,
               updates.of_ffn_norm);
  feed_forward(worker, layer);
  worker.multiply_share({{w.down, updates.down, kNoBias}}, {added_.data()},
                        worker.rows.hidden_quantized, config().dim);
  wait_after_products(worker);
}

void Decoder::attend(const Worker& worker, std::size_t layer) {
  const Batch& batch = worker.batch;
  float* attended = worker.rows.attended.data();
  if (batch.is_long) {
    attention_.attend_long(layer, batch.chunks[0], qkv_.data(), attended, worker.thread);
  } else {
    attention_.attend_short(layer, batch.chunks, batch.n_chunks, qkv_.data(), batch.is_stored,
                            worker.thread, worker.n_threads);
  }
  wait_at_barrier(worker);
  Activations& quantized = worker.rows.attended_quantized;
  const Range tokens = worker.own_tokens(quantized);
  for (std::size_t t = tokens.begin; !batch.is_long && t < tokens.end; ++t) {
    attention_.combine(layer, batch.chunks, batch.n_chunks, t, attended + t * config().q_size());
  }
  worker.quantize(quantized, adapter_.layer(layer).of_attended);
  wait_after_quantizing(worker);
}

void Decoder::feed_forward(const Worker& worker, std::size_t layer) {
  const Range tokens = worker.multiplied_tokens(worker.rows.normed_quantized);
  const Range rows = worker.work_split == WorkSplit::by_tokens
                         ? Range{0, config().ffn}
                         : split(config().ffn, worker.thread, worker.n_threads, kBlock);
  const std::size_t step = rows_at_a_time(tokens.size());
  for (std::size_t r = rows.begin; r < rows.end; r += step) {
    hidden_rows(worker, layer, tokens, {r, std::min(rows.end, r + step)});
  }
  wait_after_products(worker);
  worker.quantize(worker.rows.hidden_quantized, adapter_.layer(layer).of_hidden);
  wait_after_quantizing(worker);
}

// hidden = act(gate) · up for some tokens and some rows of both matrices.
void Decoder::hidden_rows(const Worker& worker, std::size_t layer, Range tokens, Range rows) {
  const LayerWeights& w = weights_.layers()[layer];
  const LayerUpdates& updates = adapter_.layer(layer);
  const Activations& x = worker.rows.normed_quantized;
  const std::size_t ffn = config().ffn;
  const std::size_t n = rows.size();
  const auto gate_mul = config().gate == Gate::gelu ? active().gelu_mul : active().silu_mul;
  float* hidden = hidden_.data() + tokens.begin * ffn + rows.begin;
  float* up = up_[static_cast<std::size_t>(worker.thread)].data();
  const Projected projected = worker.projected();
  multiply({w.gate, updates.gate, w.gate_bias}, x, projected, tokens, rows, hidden, ffn);
  multiply({w.up, updates.up, w.up_bias}, x, projected, tokens, rows, up, n);
  for (std::size_t t = 0; t < tokens.size(); ++t, hidden += ffn) {
    gate_mul(hidden, up + t * n, hidden, n);
  }
}

// Logits of all tokens that the worker has.
void Decoder::output_logits(const Worker& worker, const Addition& addition) {
  Activations& quantized = worker.rows.final_normed_quantized;
  add_and_norm(worker, addition, weights_.output_norm(), quantized, adapter_.of_output_norm());
  worker.multiply_share({{weights_.output(), adapter_.output(), kNoBias}}, {worker.batch.logits},
                        quantized, config().vocab);
  soft_cap_logits(worker);
}

void Decoder::soft_cap_logits(const Worker& worker) {
  const float cap = config().final_softcap;
  if (cap == 0) return;
  wait_at_barrier(worker);
  const Range mine = split(worker.batch.n * config().vocab, worker.thread, worker.n_threads);
  active().soft_cap(cap, worker.batch.logits + mine.begin, mine.size());
}

}  // namespace ggmlkit::engine
