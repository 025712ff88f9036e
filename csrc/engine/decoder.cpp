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

Range common(Range a, Range b) {
  const std::size_t begin = std::max(a.begin, b.begin);
  return {begin, std::max(begin, std::min(a.end, b.end))};
}

}  // namespace

struct Decoder::Work {
  const Pass& pass;
  const AttentionPlans& plans;
  WorkSplit split;
  bool is_stored;      // keys and values are stored already
  bool stores_before;  // or they are stored before queries attend
};

struct Decoder::Worker {
  const Work& work;
  Rows& rows;
  int thread;
  int n_threads;

  std::size_t tokens() const { return work.pass.n; }
  // The tokens that this thread quantizes, and computes what it takes for.
  Range own_tokens(const Activations& x) const {
    if (work.split == WorkSplit::copies) return {0, 1};
    if (work.split == WorkSplit::by_rows) return x.share(thread, n_threads);
    return split(tokens(), thread, n_threads, active().panel);
  }
  // The tokens whose keys and values it stores.
  Range stored_tokens() const {
    if (work.split == WorkSplit::by_tokens) return own_tokens(rows.normed_quantized);
    return split(tokens(), thread, n_threads);
  }
  // The tokens that it multiplies.
  Range multiplied_tokens(const Activations& x) const {
    return work.split == WorkSplit::by_tokens ? own_tokens(x) : Range{0, tokens()};
  }
  // Quantizes its tokens of x, and projects them down for the adapters of the next product.
  void quantize(Activations& x, std::size_t layer, Input input) const {
    const Range own = own_tokens(x);
    x.quantize_rows(own);
    for (const AdapterRows& changed : work.pass.adapters) {
      changed.adapter->projection(layer, input)
          .project(x, common(own, changed.rows), rows.projected.data(), rows.largest_rank);
    }
  }
  // Some rows of a product with some tokens, the first of which go to y.
  void multiply(const Product& p, const Activations& x, Range tokens, Range product_rows, float* y,
                std::size_t ldy) const {
    engine::multiply(p, x, tokens, product_rows, y, ldy);
    const Projected projected{rows.projected.data(), rows.largest_rank};
    for (const AdapterRows& changed : work.pass.adapters) {
      const Range own = common(tokens, changed.rows);
      projected.add(changed.adapter->update(p.layer, p.matrix), product_rows, own,
                    y + (own.begin - tokens.begin) * ldy, ldy);
    }
    add_bias(p, product_rows, y, ldy, tokens.size());
  }

  // Its share of several products of x, as if their matrices were one: equal bytes of weights.
  // y[i] is where the first token's first row of product i goes.
  template <std::size_t n>
  void multiply_share(const Product (&products)[n], float* const (&y)[n], const Activations& x,
                      std::size_t ldy) const {
    std::size_t all = 0;
    for (const Product& p : products) all += p.bytes();
    const Range bytes =
        work.split == WorkSplit::by_tokens ? Range{0, all} : split(all, thread, n_threads);
    const Range tokens = multiplied_tokens(x);
    std::size_t before = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const Product& p = products[i];
      const auto row = [&](std::size_t at) { return at <= before ? 0 : p.row_at(at - before); };
      const Range share{row(bytes.begin), row(bytes.end)};
      if (share.size() != 0) {
        multiply(p, x, tokens, share, y[i] + tokens.begin * ldy + share.begin, ldy);
      }
      before += p.bytes();
    }
  }
};

void Decoder::Rows::reserve(std::size_t tokens, const Config& c) {
  stream.resize(tokens * c.dim);
  normed.resize(tokens * c.dim);
  attended.resize(tokens * c.q_size());
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

void Decoder::Rows::reserve_projected(std::size_t tokens, std::size_t rank) {
  projected.resize(tokens * rank);
  largest_rank = rank;
}

Decoder::Decoder(const Weights& weights, KvPool& pool, std::size_t context, std::size_t tokens,
                 const TwoParts& two_parts, int threads)
    : weights_(weights),
      max_tokens_(tokens),
      attention_(weights, pool, context, threads),
      plans_(attention_.new_plans()),
      selected_plans_(attention_.new_plans()),
      shared_(two_parts),
      selected_rows_(two_parts),
      up_(static_cast<std::size_t>(threads)) {
  const Config& c = weights.config();
  shared_.reserve(tokens, c);
  qkv_.resize(tokens * attention_.row_size());
  added_.resize(tokens * c.dim);
  hidden_.resize(tokens * c.ffn);
  for (auto& up : up_) up.resize(std::max(kHiddenValues, kBlock * tokens));
  own_.reserve(static_cast<std::size_t>(threads));
  for (int t = 0; t < threads; ++t) {
    Rows& rows = own_.emplace_back(two_parts);
    rows.reserve(1, c);
    rows.attach(1, hidden_.data(), c);
  }
}

std::size_t Decoder::nbytes() const {
  std::size_t floats =
      shared_.floats() + selected_rows_.floats() + qkv_.size() + added_.size() + hidden_.size();
  for (const Rows& rows : own_) floats += rows.floats();
  for (const auto& up : up_) floats += up.size();
  return attention_.nbytes() + floats * sizeof(float);
}

void Decoder::forward(const Pass& pass, const Wanted& wanted, ThreadPool& threads,
                      const Observer& observer) {
  observer_ = observer ? &observer : nullptr;
  const int n_threads = std::min(static_cast<int>(own_.size()), threads.size());
  std::size_t rank = 0;
  for (const AdapterRows& a : pass.adapters) rank = std::max(rank, a.adapter->largest_rank());
  plans_.plan(pass);
  attention_.reserve(plans_);
  shared_.reserve_projected(pass.n, rank);
  shared_.attach(pass.n, hidden_.data(), config());
  for (Rows& own : own_) own.reserve_projected(1, rank);
  const std::size_t n = wanted.rows.size();
  const bool selects = n != 0 && n != pass.n;
  if (selects) {
    select(pass, wanted.rows);
    selected_plans_.plan(selected_);
    attention_.reserve(selected_plans_);
    if (n > 1) {
      selected_rows_.reserve(n, config());
      selected_rows_.reserve_projected(n, rank);
      selected_rows_.attach(n, hidden_.data(), config());
    }
  }
  const Work all = work_of(pass, plans_, false, n_threads);
  const Work some = work_of(selected_, selected_plans_, true, n_threads);
  threads.run(
      [&](int thread, int count) { run(all, selects ? &some : nullptr, wanted, thread, count); },
      n_threads);
}

Decoder::Work Decoder::work_of(const Pass& pass, const AttentionPlans& plans, bool is_stored,
                               int n_threads) const {
  const bool is_long = !plans.store_themselves();
  const bool long_enough = pass.n >= static_cast<std::size_t>(n_threads) * kTokensOfThread;
  WorkSplit split = pass.n == 1 ? WorkSplit::copies : WorkSplit::by_rows;
  // One thread shows an observer all tokens: they must be ready at once.
  if (is_long && long_enough && observer_ == nullptr) split = WorkSplit::by_tokens;
  return {pass, plans, split, is_stored, is_long && !is_stored};
}

// The rows of a pass that give logits, as a pass of their own: its keys and values are stored.
void Decoder::select(const Pass& pass, const std::vector<std::size_t>& rows) {
  selected_.clear();
  selected_.tokens = pass.tokens;
  std::size_t c = 0;
  std::size_t a = 0;
  for (std::size_t i = 0; i < rows.size();) {
    while (pass.chunks[c].row + pass.chunks[c].tokens <= rows[i]) ++c;
    while (a < pass.adapters.size() && pass.adapters[a].rows.end <= rows[i]) ++a;
    const Chunk& chunk = pass.chunks[c];
    const bool is_changed = a < pass.adapters.size() && pass.adapters[a].rows.begin <= rows[i];
    const std::size_t chunk_end = chunk.row + chunk.tokens;
    std::size_t n = 1;  // rows of the chunk that follow each other
    while (i + n < rows.size() && rows[i + n] == rows[i] + n && rows[i + n] < chunk_end) ++n;
    selected_.append({chunk.pages, chunk.start + rows[i] - chunk.row, n, rows[i], selected_.n},
                     is_changed ? pass.adapters[a].adapter : nullptr);
    i += n;
  }
}

void Decoder::wait_at_barrier(const Worker& worker) { barrier_.wait(worker.n_threads); }

void Decoder::wait_after_products(const Worker& worker) {
  if (worker.work.split != WorkSplit::by_tokens) wait_at_barrier(worker);
}

void Decoder::wait_after_quantizing(const Worker& worker) {
  if (worker.work.split == WorkSplit::by_rows) wait_at_barrier(worker);
}

Decoder::Worker Decoder::worker(const Work& work, int thread, int n_threads) {
  const bool is_selected = &work.pass == &selected_;
  Rows& many = is_selected ? selected_rows_ : shared_;
  Rows& own = own_[static_cast<std::size_t>(thread)];
  return {work, work.split == WorkSplit::copies ? own : many, thread, n_threads};
}

// The streams of its tokens.
void Decoder::copy_selected(const Worker& from, const Worker& to) const {
  const std::size_t dim = config().dim;
  const Range own = to.own_tokens(to.rows.normed_quantized);
  for (const Chunk& chunk : to.work.pass.chunks) {
    const Range mine = common(own, {chunk.kept, chunk.kept + chunk.tokens});
    const float* row = from.rows.stream.data() + (chunk.row + mine.begin - chunk.kept) * dim;
    std::copy(row, row + mine.size() * dim, to.rows.stream.data() + mine.begin * dim);
  }
}

void Decoder::run(const Work& all, const Work* selected, const Wanted& wanted, int thread,
                  int n_threads) {
  const Worker first = worker(all, thread, n_threads);
  const std::size_t last = config().layers - 1;
  const bool is_wanted = !wanted.rows.empty();
  Addition addition;
  embed(first);
  for (std::size_t layer = 0; layer < last; ++layer) {
    keys_and_values(first, layer, addition, false);
    rest_of_layer(first, layer);
    addition = of_feed_forward(weights_.layers()[layer]);
  }
  // Tokens without results need just the last layer's keys and values, unless they are observed.
  const bool ends = observer_ == nullptr && (selected != nullptr || !is_wanted);
  keys_and_values(first, last, addition, ends);
  addition = of_feed_forward(weights_.layers()[last]);
  if (!ends) rest_of_layer(first, last);
  const bool is_whole = selected == nullptr && is_wanted;
  if (is_whole || observer_ != nullptr) output_norm(first, addition);
  if (is_whole) output(first, wanted);
  if (selected == nullptr) return;
  const Worker some = worker(*selected, thread, n_threads);
  copy_selected(first, some);
  if (ends) rest_of_layer(some, last);
  output_norm(some,
              ends ? addition : Addition{});  // the stream has it already, where it was observed
  output(some, wanted);
}

void Decoder::embed(const Worker& worker) {
  const Range tokens = worker.own_tokens(worker.rows.normed_quantized);
  const float scale = config().embedding_scale;
  for (std::size_t t = tokens.begin; t < tokens.end; ++t) {
    const auto token = static_cast<std::size_t>(worker.work.pass.tokens[t]);
    float* x = worker.rows.stream.data() + t * config().dim;
    weights_.embed(token, x);
    for (const AdapterRows& changed : worker.work.pass.adapters) {
      if (t >= changed.rows.begin && t < changed.rows.end) changed.adapter->add_embedding(token, x);
    }
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
                           std::size_t layer, Input input) {
  const std::size_t dim = config().dim;
  const KernelTable& kernels = active();
  const Range tokens = worker.own_tokens(quantized);
  for (std::size_t t = tokens.begin; t < tokens.end; ++t) {
    float* x = worker.rows.stream.data() + t * dim;
    float* normed = worker.rows.normed.data() + t * dim;
    add(addition, t, x, normed);
    if (weight.empty()) {  // the output norm of a model without output
      std::copy(x, x + dim, normed);
    } else {
      kernels.rms_norm(x, weight.data(), config().norm_eps, normed, dim);
    }
  }
  quantize(worker, quantized, layer, input);
}

void Decoder::quantize(const Worker& worker, Activations& x, std::size_t layer, Input input) {
  worker.quantize(x, layer, input);
  wait_after_quantizing(worker);
  // The rows that go on alone were seen among all.
  if (observer_ == nullptr || worker.thread != 0 || worker.work.is_stored) return;
  (*observer_)(layer, input, x.rows(), worker.tokens(), x.cols());
}

// `stores_all`: whether all keys and values must be stored before this returns.
void Decoder::keys_and_values(const Worker& worker, std::size_t layer, const Addition& addition,
                              bool stores_all) {
  const Config& c = config();
  const LayerWeights& w = weights_.layers()[layer];
  Activations& normed = worker.rows.normed_quantized;
  add_and_norm(worker, addition, w.attn_norm, normed, layer, Input::attn_norm);
  float* q = qkv_.data();
  float* k = q + c.q_size();
  float* v = k + c.kv_size();
  worker.multiply_share({{w.q, layer, Matrix::q, w.q_bias},
                         {w.k, layer, Matrix::k, w.k_bias},
                         {w.v, layer, Matrix::v, w.v_bias}},
                        {q, k, v}, normed, attention_.row_size());
  wait_after_products(worker);
  if (!worker.work.stores_before && !stores_all) return;
  attention_.store(layer, worker.work.pass, worker.stored_tokens(), qkv_.data(), worker.thread);
  wait_at_barrier(worker);
}

void Decoder::rest_of_layer(const Worker& worker, std::size_t layer) {
  const LayerWeights& w = weights_.layers()[layer];
  attend(worker, layer);
  worker.multiply_share({{w.attn_output, layer, Matrix::attn_output, kNoBias}}, {added_.data()},
                        worker.rows.attended_quantized, config().dim);
  wait_after_products(worker);
  add_and_norm(worker, of_attention(w), w.ffn_norm, worker.rows.normed_quantized, layer,
               Input::ffn_norm);
  feed_forward(worker, layer);
  worker.multiply_share({{w.down, layer, Matrix::down, kNoBias}}, {added_.data()},
                        worker.rows.hidden_quantized, config().dim);
  wait_after_products(worker);
}

void Decoder::attend(const Worker& worker, std::size_t layer) {
  const Work& work = worker.work;
  float* attended = worker.rows.attended.data();
  attention_.attend(layer, work.pass, work.plans, qkv_.data(), attended,
                    work.is_stored || work.stores_before, worker.thread, worker.n_threads);
  wait_at_barrier(worker);
  Activations& quantized = worker.rows.attended_quantized;
  attention_.combine(layer, work.pass, work.plans, worker.own_tokens(quantized), attended);
  quantize(worker, quantized, layer, Input::attended);
}

void Decoder::feed_forward(const Worker& worker, std::size_t layer) {
  const Range tokens = worker.multiplied_tokens(worker.rows.normed_quantized);
  const Range rows = worker.work.split == WorkSplit::by_tokens
                         ? Range{0, config().ffn}
                         : split(config().ffn, worker.thread, worker.n_threads, kBlock);
  const std::size_t step = rows_at_a_time(tokens.size());
  for (std::size_t r = rows.begin; r < rows.end; r += step) {
    hidden_rows(worker, layer, tokens, {r, std::min(rows.end, r + step)});
  }
  wait_after_products(worker);
  quantize(worker, worker.rows.hidden_quantized, layer, Input::hidden);
}

// hidden = act(gate) · up for some tokens and some rows of both matrices.
void Decoder::hidden_rows(const Worker& worker, std::size_t layer, Range tokens, Range rows) {
  const LayerWeights& w = weights_.layers()[layer];
  const Activations& x = worker.rows.normed_quantized;
  const std::size_t ffn = config().ffn;
  const std::size_t n = rows.size();
  const auto gate_mul = config().gate == Gate::gelu ? active().gelu_mul : active().silu_mul;
  float* hidden = hidden_.data() + tokens.begin * ffn + rows.begin;
  float* up = up_[static_cast<std::size_t>(worker.thread)].data();
  worker.multiply({w.gate, layer, Matrix::gate, w.gate_bias}, x, tokens, rows, hidden, ffn);
  worker.multiply({w.up, layer, Matrix::up, w.up_bias}, x, tokens, rows, up, n);
  for (std::size_t t = 0; t < tokens.size(); ++t, hidden += ffn) {
    gate_mul(hidden, up + t * n, hidden, n);
  }
}

void Decoder::output_norm(const Worker& worker, const Addition& addition) {
  add_and_norm(worker, addition, weights_.output_norm(), worker.rows.final_normed_quantized,
               config().layers, Input::output_norm);
}

// The results of all tokens that the worker has.
void Decoder::output(const Worker& worker, const Wanted& wanted) {
  const Activations& quantized = worker.rows.final_normed_quantized;
  if (wanted.hidden != nullptr && (worker.work.split != WorkSplit::copies || worker.thread == 0)) {
    const Range own = worker.own_tokens(quantized);
    const float* rows = quantized.rows();
    const std::size_t dim = config().dim;
    std::copy(rows + own.begin * dim, rows + own.end * dim, wanted.hidden + own.begin * dim);
  }
  if (wanted.logits == nullptr) return;
  worker.multiply_share({{weights_.output(), config().layers, Matrix::output, kNoBias}},
                        {wanted.logits}, quantized, config().vocab);
  soft_cap_logits(worker, wanted.logits);
}

void Decoder::soft_cap_logits(const Worker& worker, float* logits) {
  const float cap = config().final_softcap;
  if (cap == 0) return;
  wait_at_barrier(worker);
  const Range mine = split(worker.tokens() * config().vocab, worker.thread, worker.n_threads);
  active().soft_cap(cap, logits + mine.begin, mine.size());
}

}  // namespace ggmlkit::engine
