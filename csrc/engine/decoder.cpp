#include "engine/decoder.h"

#include <algorithm>

#include "kernels/kernel_table.h"
#include "quant/matmul.h"

namespace ggmlkit::llama {
namespace {

// Values of the gate and of the upward projection that a thread has at a time: what it multiplies
// and rounds is still in its second-level cache.
constexpr std::size_t kHiddenValues = 24 * 1024;

std::size_t rows_at_a_time(std::size_t tokens) {
  return std::max(kBlock, kHiddenValues / tokens / kBlock * kBlock);
}

// From so many tokens a thread on, each keeps to its own: what it makes stays in its own cache, and
// it meets others for keys and values alone. Fewer would read all weights for too little work.
constexpr std::size_t kTokensOfThread = 64;

// Of products whose bias is added later, with the norm, or that have none.
const std::vector<float> kNoBias;

// One of several products of the same activations, and what adapters add to it.
struct Product {
  const WeightMatrix& w;
  const Change& change;
  float* y;
  const std::vector<float>& bias;  // of the rows of w, or empty
  std::size_t bytes() const { return w.rows() * row_bytes(); }
  std::size_t row_bytes() const { return ggmlkit::row_bytes(w.type(), w.cols()); }
};

// The first row, in whole steps, at or after `bytes` of the matrix.
std::size_t row_at(const Product& p, std::size_t bytes) {
  const std::size_t step = row_step(p.w);
  const std::size_t step_bytes = step * p.row_bytes();
  return std::min(p.w.rows(), (bytes + step_bytes - 1) / step_bytes * step);
}

// y[t·ldy] += bias for some rows, the first of which is y's.
void add_bias(const std::vector<float>& bias, Range rows, float* y, std::size_t ldy,
              std::size_t tokens) {
  if (bias.empty()) return;
  for (std::size_t t = 0; t < tokens; ++t, y += ldy) {
    active().add_scaled(1.0f, bias.data() + rows.begin, y, rows.size());
  }
}

// Some rows of a product with some tokens, which go to their places in y.
void multiply(const Product& p, const Activations& x, const Low& low, Range tokens, Range rows,
              std::size_t ldy) {
  float* y = p.y + tokens.begin * ldy + rows.begin;
  matmul_rows(p.w, x, tokens, y, ldy, rows);
  low.add(p.change, rows, tokens, y, ldy);
  add_bias(p.bias, rows, y, ldy, tokens.size());
}

}  // namespace

struct Decoder::Pass {
  const std::int32_t* tokens;
  const Run* runs;
  std::size_t n_runs;
  std::size_t n;   // tokens
  float* logits;   // null: not wanted
  bool all;        // whether every token's are wanted
  bool is_long;    // keys and values are stored before tiles of queries attend
  bool is_stored;  // or they are stored already
};

// How threads share the work of a pass.
enum class Sharing {
  copies,  // a single token's row is normed and rounded by all, each for itself
  rows,    // of the matrices each has some rows, with all tokens
  tokens   // each has some tokens, with all rows
};

struct Decoder::Part {
  const Pass& pass;
  Rows& rows;
  Sharing sharing;
  int thread;
  int n_threads;

  // The tokens that this thread rounds, and what it takes to make them.
  Range mine(const Activations& x) const {
    if (sharing == Sharing::copies) return {0, 1};
    if (sharing == Sharing::rows) return x.share(thread, n_threads);
    return split(pass.n, thread, n_threads, active().panel);
  }
  // The tokens that it multiplies.
  Range multiplied(const Activations& x) const {
    return sharing == Sharing::tokens ? mine(x) : Range{0, pass.n};
  }
  // Rounds those of x, and what adapters make of them, for the product that comes next.
  void round(Activations& x, const Changes& changes) const {
    x.quantize_rows(mine(x));
    changes.project(x, mine(x), rows.low.data(), rows.low_stride);
  }
  Low low() const { return {rows.low.data(), rows.low_stride}; }

  // Its share of several products of x, as if their matrices were one: equal bytes of weights.
  template <std::size_t n>
  void multiply_share(const Product (&products)[n], const Activations& x, std::size_t ldy) const {
    std::size_t all = 0;
    for (const Product& p : products) all += p.bytes();
    const Range bytes = sharing == Sharing::tokens ? Range{0, all} : split(all, thread, n_threads);
    std::size_t before = 0;
    for (const Product& p : products) {
      const auto row = [&](std::size_t at) { return at <= before ? 0 : row_at(p, at - before); };
      const Range part{row(bytes.begin), row(bytes.end)};
      if (part.size() != 0) multiply(p, x, low(), multiplied(x), part, ldy);
      before += p.bytes();
    }
  }
};

void Decoder::Rows::reserve(std::size_t tokens, const Config& c, std::size_t rank) {
  stream.resize(tokens * c.dim);
  normed.resize(tokens * c.dim);
  attended.resize(tokens * c.q_size());
  low.resize(tokens * rank);
  low_stride = rank;
  normed_rounded.reserve(tokens, c.dim);
  attended_rounded.reserve(tokens, c.q_size());
  hidden_rounded.reserve(tokens, c.ffn);
  last_normed_rounded.reserve(tokens, c.dim);
}

void Decoder::Rows::attach(std::size_t tokens, const float* hidden, const Config& c) {
  normed_rounded.attach(normed.data(), tokens, c.dim);
  attended_rounded.attach(attended.data(), tokens, c.q_size());
  hidden_rounded.attach(hidden, tokens, c.ffn);
  last_normed_rounded.attach(normed.data(), tokens, c.dim);
}

Decoder::Decoder(const Weights& weights, const Adapter& adapter, std::size_t context,
                 std::size_t sequences, KvType type, const TwoParts& two_parts, int threads)
    : weights_(weights),
      adapter_(adapter),
      attention_(weights, context, sequences, type, kTile, threads),
      positions_(sequences, 0),
      shared_(two_parts),
      up_(static_cast<std::size_t>(threads)) {
  const Config& c = weights.config();
  const std::size_t tokens = std::min(kTile, std::max(context, sequences));
  runs_.resize(tokens);
  shared_.reserve(tokens, c, adapter.largest_rank());
  qkv_.resize(tokens * attention_.row_size());
  delta_.resize(tokens * c.dim);
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
  std::size_t floats = shared_.floats() + qkv_.size() + delta_.size() + hidden_.size();
  for (const Rows& rows : own_) floats += rows.floats();
  for (const auto& up : up_) floats += up.size();
  return attention_.nbytes() + floats * sizeof(float);
}

void Decoder::forward(std::size_t sequence, const std::int32_t* tokens, std::size_t n,
                      float* logits, bool all, ThreadPool& pool) {
  runs_[0] = {sequence, positions_[sequence], n, 0};
  forward({tokens, runs_.data(), 1, n, logits, all, !attention_.is_short(runs_[0]), false}, pool);
}

void Decoder::forward_each(const std::size_t* sequences, const std::int32_t* tokens, std::size_t n,
                           float* logits, ThreadPool& pool) {
  for (std::size_t i = 0; i < n; ++i) runs_[i] = {sequences[i], positions_[sequences[i]], 1, i};
  forward({tokens, runs_.data(), n, n, logits, true, false, false}, pool);
}

void Decoder::forward(const Pass& pass, ThreadPool& pool) {
  shared_.attach(pass.n, hidden_.data(), config());
  pool.run([&](int thread, int n_threads) { run(pass, thread, n_threads); },
           static_cast<int>(own_.size()));
  for (std::size_t r = 0; r < pass.n_runs; ++r) {
    positions_[pass.runs[r].sequence] += pass.runs[r].tokens;
  }
}

void Decoder::meet(const Part& part) { barrier_.wait(part.n_threads); }

void Decoder::meet_after_products(const Part& part) {
  if (part.sharing != Sharing::tokens) meet(part);
}

void Decoder::meet_after_rounding(const Part& part) {
  if (part.sharing == Sharing::rows) meet(part);
}

void Decoder::run(const Pass& pass, int thread, int n_threads) {
  const bool single = pass.n == 1;
  Rows& own = own_[static_cast<std::size_t>(thread)];
  const bool long_enough = pass.n >= static_cast<std::size_t>(n_threads) * kTokensOfThread;
  const Sharing sharing = single                        ? Sharing::copies
                          : pass.is_long && long_enough ? Sharing::tokens
                                                        : Sharing::rows;
  const Part part{pass, single ? own : shared_, sharing, thread, n_threads};
  const std::size_t last = config().layers - 1;
  Addition addition;
  embed(part);
  for (std::size_t layer = 0; layer < last; ++layer) {
    keys_and_values(part, layer, addition);
    rest_of_layer(part, layer);
    addition = of_feed_forward(weights_.layers()[layer]);
  }
  keys_and_values(part, last, addition);
  addition = of_feed_forward(weights_.layers()[last]);
  if (!pass.is_long || pass.all) {
    rest_of_layer(part, last);
    output_logits(part, addition);
    return;
  }
  // Keys and values are all that the last layer owes to later tokens; only the last token goes on.
  if (pass.logits == nullptr) return;
  const Run& run = pass.runs[0];
  const Run end{run.sequence, run.start + run.tokens - 1, 1, run.row + run.tokens - 1};
  const Pass end_pass{pass.tokens + end.row, &end, 1, 1, pass.logits, true, false, true};
  const Part end_part{end_pass, own, Sharing::copies, thread, n_threads};
  const float* row = shared_.stream.data() + end.row * config().dim;
  std::copy(row, row + config().dim, own.stream.data());
  rest_of_layer(end_part, last);
  output_logits(end_part, addition);
}

void Decoder::embed(const Part& part) {
  const Range mine = part.mine(part.rows.normed_rounded);
  const float scale = config().embedding_scale;
  for (std::size_t t = mine.begin; t < mine.end; ++t) {
    const auto token = static_cast<std::size_t>(part.pass.tokens[t]);
    float* x = part.rows.stream.data() + t * config().dim;
    weights_.embed(token, x);
    adapter_.add_embedding(token, x);
    if (scale != 1.0f) active().scale(scale, x, x, config().dim);
  }
}

Decoder::Addition Decoder::of_attention(const LayerWeights& w) const {
  return {delta_.data(), &w.attn_output_bias, &w.post_attn_norm};
}

Decoder::Addition Decoder::of_feed_forward(const LayerWeights& w) const {
  return {delta_.data(), &w.down_bias, &w.post_ffn_norm};
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

void Decoder::add_and_norm(const Part& part, const Addition& addition,
                           const std::vector<float>& weight, Activations& rounded,
                           const Changes& changes) {
  const std::size_t dim = config().dim;
  const KernelTable& kernels = active();
  const Range mine = part.mine(rounded);
  for (std::size_t t = mine.begin; t < mine.end; ++t) {
    float* x = part.rows.stream.data() + t * dim;
    float* normed = part.rows.normed.data() + t * dim;
    add(addition, t, x, normed);
    kernels.rms_norm(x, weight.data(), config().norm_eps, normed, dim);
  }
  part.round(rounded, changes);
  meet_after_rounding(part);
}

void Decoder::keys_and_values(const Part& part, std::size_t layer, const Addition& addition) {
  const Config& c = config();
  const LayerWeights& w = weights_.layers()[layer];
  const LayerChanges& changes = adapter_.layer(layer);
  add_and_norm(part, addition, w.attn_norm, part.rows.normed_rounded, changes.of_attn_norm);
  float* q = qkv_.data();
  float* k = q + c.q_size();
  float* v = k + c.kv_size();
  part.multiply_share(
      {{w.q, changes.q, q, w.q_bias}, {w.k, changes.k, k, w.k_bias}, {w.v, changes.v, v, w.v_bias}},
      part.rows.normed_rounded, attention_.row_size());
  meet_after_products(part);
  if (!part.pass.is_long) return;
  attention_.store(layer, part.pass.runs[0], part.mine(part.rows.normed_rounded), qkv_.data(),
                   part.thread);
  meet(part);
}

void Decoder::rest_of_layer(const Part& part, std::size_t layer) {
  const LayerWeights& w = weights_.layers()[layer];
  const LayerChanges& changes = adapter_.layer(layer);
  attend(part, layer);
  part.multiply_share({{w.attn_output, changes.attn_output, delta_.data(), kNoBias}},
                      part.rows.attended_rounded, config().dim);
  meet_after_products(part);
  add_and_norm(part, of_attention(w), w.ffn_norm, part.rows.normed_rounded, changes.of_ffn_norm);
  feed_forward(part, layer);
  part.multiply_share({{w.down, changes.down, delta_.data(), kNoBias}}, part.rows.hidden_rounded,
                      config().dim);
  meet_after_products(part);
}

void Decoder::attend(const Part& part, std::size_t layer) {
  const Pass& pass = part.pass;
  float* attended = part.rows.attended.data();
  if (pass.is_long) {
    attention_.attend_tiles(layer, pass.runs[0], qkv_.data(), attended, part.thread);
  } else {
    attention_.attend_chunks(layer, pass.runs, pass.n_runs, qkv_.data(), pass.is_stored,
                             part.thread, part.n_threads);
  }
  meet(part);
  Activations& rounded = part.rows.attended_rounded;
  const Range mine = part.mine(rounded);
  for (std::size_t t = mine.begin; !pass.is_long && t < mine.end; ++t) {
    attention_.combine(layer, pass.runs, pass.n_runs, t, attended + t * config().q_size());
  }
  part.round(rounded, adapter_.layer(layer).of_attended);
  meet_after_rounding(part);
}

void Decoder::feed_forward(const Part& part, std::size_t layer) {
  const Range tokens = part.multiplied(part.rows.normed_rounded);
  const Range rows = part.sharing == Sharing::tokens
                         ? Range{0, config().ffn}
                         : split(config().ffn, part.thread, part.n_threads, kBlock);
  const std::size_t step = rows_at_a_time(tokens.size());
  for (std::size_t r = rows.begin; r < rows.end; r += step) {
    hidden_rows(part, layer, tokens, {r, std::min(rows.end, r + step)});
  }
  meet_after_products(part);
  part.round(part.rows.hidden_rounded, adapter_.layer(layer).of_hidden);
  meet_after_rounding(part);
}

// hidden = act(gate) · up for some tokens and some rows of both matrices.
void Decoder::hidden_rows(const Part& part, std::size_t layer, Range tokens, Range rows) {
  const LayerWeights& w = weights_.layers()[layer];
  const LayerChanges& changes = adapter_.layer(layer);
  const Activations& x = part.rows.normed_rounded;
  const Low low = part.low();
  const std::size_t ffn = config().ffn;
  const std::size_t n = rows.size();
  const auto gate_mul = config().gate == Gate::gelu ? active().gelu_mul : active().silu_mul;
  float* up = up_[static_cast<std::size_t>(part.thread)].data();
  multiply({w.gate, changes.gate, hidden_.data(), w.gate_bias}, x, low, tokens, rows, ffn);
  matmul_rows(w.up, x, tokens, up, n, rows);
  low.add(changes.up, rows, tokens, up, n);
  add_bias(w.up_bias, rows, up, n, tokens.size());
  float* hidden = hidden_.data() + tokens.begin * ffn + rows.begin;
  for (std::size_t t = 0; t < tokens.size(); ++t, hidden += ffn) {
    gate_mul(hidden, up + t * n, hidden, n);
  }
}

void Decoder::output_logits(const Part& part, const Addition& addition) {
  const Config& c = config();
  const Pass& pass = part.pass;
  if (pass.logits == nullptr) return;
  const Changes& changes = adapter_.of_output_norm();
  const Product output{weights_.output(), adapter_.output(), pass.logits, kNoBias};
  if (pass.all || part.sharing == Sharing::copies) {
    Activations& rounded = part.rows.last_normed_rounded;
    add_and_norm(part, addition, weights_.output_norm(), rounded, changes);
    part.multiply_share({output}, rounded, c.vocab);
    cap_logits(part, pass.n);
    return;
  }
  const std::size_t at = (pass.n - 1) * c.dim;
  Rows& own = own_[static_cast<std::size_t>(part.thread)];
  std::copy(part.rows.stream.data() + at, part.rows.stream.data() + at + c.dim, own.stream.data());
  const Pass last_pass{pass.tokens + pass.n - 1, pass.runs, 1, 1, pass.logits, true, false, true};
  const Part last{last_pass, own, Sharing::copies, part.thread, part.n_threads};
  const Addition last_addition{addition.product + at, addition.bias, addition.norm};
  add_and_norm(last, last_addition, weights_.output_norm(), own.last_normed_rounded, changes);
  last.multiply_share({output}, own.last_normed_rounded, c.vocab);
  cap_logits(part, 1);
}

void Decoder::cap_logits(const Part& part, std::size_t tokens) {
  const float cap = config().final_softcap;
  if (cap == 0) return;
  meet(part);
  const Range mine = split(tokens * config().vocab, part.thread, part.n_threads);
  active().soft_cap(cap, part.pass.logits + mine.begin, mine.end - mine.begin);
}

}  // namespace ggmlkit::llama
