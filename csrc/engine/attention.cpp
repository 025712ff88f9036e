#include "engine/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "engine/hadamard.h"
#include "kernels/kernel_table.h"
#include "kernels/layouts/kv_group.h"

namespace ggmlkit::engine {
namespace {

// Rows of queries that share what is read.
constexpr std::size_t kQueryRows = 24;
constexpr std::size_t kShortTokens = 8;
constexpr float kNothing = -std::numeric_limits<float>::infinity();

std::size_t ceil_div(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

PartialMean mean_at(float* memory, std::size_t rows) {
  return {memory, memory + rows, memory + 2 * rows};
}

void clear(const PartialMean& mean, std::size_t rows, std::size_t d) {
  std::fill(mean.highest, mean.highest + rows, kNothing);
  std::fill(mean.total, mean.total + rows, 0.0f);
  std::fill(mean.sum, mean.sum + rows * d, 0.0f);
}

// Scores of one row in a page of `count` positions to weights; the row sees some of them.
void soften(float* scores, Range seen, std::size_t count, std::size_t d, float& highest,
            float& total, float* sum) {
  const KernelTable& kernels = active();
  if (const std::size_t n = seen.size(); n != 0) {
    const float high = kernels.largest(scores + seen.begin, n);
    if (high > highest) {
      const float shrink = std::exp(highest - high);
      kernels.scale(shrink, sum, sum, d);
      total *= shrink;
      highest = high;
    }
    total += kernels.exp_and_sum(scores + seen.begin, n, highest);
  }
  std::fill(scores, scores + seen.begin, 0.0f);
  std::fill(scores + seen.end, scores + count, 0.0f);
}

// Adds a slice's mean to that of the slices before it, one row of each.
void merge(float highest, float total, const float* sum, std::size_t d, float& highest_before,
           float& total_before, float* sum_before) {
  const KernelTable& kernels = active();
  if (highest > highest_before) {
    const float shrink = std::exp(highest_before - highest);
    kernels.scale(shrink, sum_before, sum_before, d);
    kernels.add_scaled(1.0f, sum, sum_before, d);
    total_before = total_before * shrink + total;
    highest_before = highest;
  } else if (highest != kNothing) {
    const float shrink = std::exp(highest - highest_before);
    kernels.add_scaled(shrink, sum, sum_before, d);
    total_before += total * shrink;
  }
}

}  // namespace

AttentionPlans::AttentionPlans(const Config& c, std::size_t most_tokens, std::size_t short_tokens) {
  for (std::size_t layer = 0; layer < c.layers; ++layer) {
    const auto same = [&](const AttentionPlan& plan) { return plan.window() == c.window(layer); };
    const auto found = std::find_if(plans_.begin(), plans_.end(), same);
    kinds_.push_back(static_cast<std::size_t>(found - plans_.begin()));
    if (found == plans_.end()) {
      plans_.emplace_back(AttentionPlan::Sizes{c.window(layer), c.kv_heads, c.group(), c.head_dim,
                                               most_tokens, short_tokens});
    }
  }
}

void AttentionPlans::plan(const Pass& pass) {
  for (AttentionPlan& plan : plans_) plan.plan(pass);
}

std::size_t AttentionPlans::partial_floats() const {
  std::size_t most = 0;
  for (const AttentionPlan& plan : plans_) most = std::max(most, plan.partial_floats());
  return most;
}

Attention::Attention(const Weights& weights, KvPool& pool, std::size_t context, int threads)
    : weights_(weights),
      config_(weights.config()),
      pool_(pool),
      keys_(active().kv[static_cast<std::size_t>(pool.types().keys)]),
      values_(active().kv[static_cast<std::size_t>(pool.types().values)]),
      key_group_bytes_(kv_group_bytes(pool.types().keys, config_.head_dim)),
      value_group_bytes_(kv_group_bytes(pool.types().values, config_.head_dim)),
      spreads_keys_(pool.types().keys == KvType::q4_0),
      spreads_values_(pool.types().values == KvType::q4_0),
      spread_scale_(1.0f / static_cast<float>(hadamard_length(config_.head_dim))),
      rope_(config_.rope, context),
      most_tokens_(std::max<std::size_t>(1, kQueryRows / config_.group())),
      short_tokens_(std::min(kShortTokens, most_tokens_)),
      scratch_(static_cast<std::size_t>(threads)) {
  if (config_.sliding_rope) sliding_rope_.emplace(*config_.sliding_rope, context);
  const std::size_t d = config_.head_dim;
  const std::size_t rows = most_tokens_ * config_.group();
  for (Scratch& s : scratch_) {
    s.q.resize(rows * d);
    s.scores.resize(rows * kPage);
    s.slice.resize(rows * (d + 2));
    s.mean.resize(rows * (d + 2));
  }
}

std::size_t Attention::nbytes() const {
  std::size_t floats = partials_.size();
  for (const Scratch& s : scratch_) {
    floats += s.q.size() + s.scores.size() + s.slice.size() + s.mean.size();
  }
  return floats * sizeof(float);
}

void Attention::reserve(const AttentionPlans& plans) {
  // Doubled, so that a growing context seldom needs more.
  if (plans.partial_floats() > partials_.size()) partials_.resize(2 * plans.partial_floats());
}

void Attention::store_token(std::size_t layer, const Chunk& chunk, std::size_t token,
                            std::size_t head, float* rows) {
  const std::size_t d = config_.head_dim;
  const std::size_t position = chunk.start + token;
  const std::size_t group = position % kPage / kKvGroup;
  const std::size_t place = position % kKvGroup;
  float* k = rows + (chunk.row + token) * row_size() + config_.q_size() + head * d;
  float* v = k + config_.kv_size();
  if (config_.has_head_norms) {
    active().rms_norm(k, weights_.layers()[layer].k_norm.data(), config_.norm_eps, k, d);
  }
  rope(layer).rotate(k, 1, d, position);
  if (spreads_keys_) hadamard(k, d, 1.0f);
  if (spreads_values_) hadamard(v, d, 1.0f);
  const std::size_t page = position / kPage;
  keys_.store_key(k, d, place,
                  pool_.keys(layer, *chunk.pages, head, page) + group * key_group_bytes_);
  values_.store_value(v, d, place,
                      pool_.values(layer, *chunk.pages, head, page) + group * value_group_bytes_);
}

void Attention::store(std::size_t layer, const Pass& pass, Range tokens, float* rows, int thread) {
  if (thread == 0) next_item_.store(0, std::memory_order_relaxed);
  for (const Chunk& chunk : pass.chunks) {
    const std::size_t begin = std::max(tokens.begin, chunk.row);
    const std::size_t end = std::min(tokens.end, chunk.row + chunk.tokens);
    for (std::size_t head = 0; head < config_.kv_heads; ++head) {
      for (std::size_t t = begin; t < end; ++t)
        store_token(layer, chunk, t - chunk.row, head, rows);
    }
  }
}

void Attention::load_queries(std::size_t layer, const Chunk& chunk, Range tokens, std::size_t head,
                             const float* rows, float* q) const {
  const std::size_t d = config_.head_dim;
  const std::size_t size = config_.group() * d;
  const float scale = config_.score_scale();
  const std::vector<float>& norm = weights_.layers()[layer].q_norm;
  for (std::size_t t = tokens.begin; t < tokens.end; ++t, q += size) {
    const float* from = rows + (chunk.row + t) * row_size() + head * size;
    if (config_.has_head_norms) {
      for (std::size_t i = 0; i < size; i += d) {
        active().rms_norm(from + i, norm.data(), config_.norm_eps, q + i, d);
      }
      from = q;
    }
    active().scale(scale, from, q, size);
    rope(layer).rotate(q, config_.group(), d, chunk.start + t);
    for (std::size_t i = 0; i < size && spreads_keys_; i += d) hadamard(q + i, d, spread_scale_);
  }
}

// Queries of the item's tokens, which lie in `scratch`, over positions of one slice.
void Attention::attend_slice(std::size_t layer, const Chunk& chunk, const AttentionItem& item,
                             Range positions, Scratch& scratch, const PartialMean& mean) {
  const std::size_t d = config_.head_dim;
  const std::size_t group = config_.group();
  const std::size_t window = config_.window(layer);
  const std::size_t rows = item.tokens.size() * group;
  float* scores = scratch.scores.data();
  clear(mean, rows, d);
  for (std::size_t p = positions.begin; p < positions.end; p += kPage) {
    const std::size_t count = std::min(kPage, positions.end - p);
    keys_.scores(scratch.q.data(), rows, d, pool_.keys(layer, *chunk.pages, item.head, p / kPage),
                 ceil_div(count, kKvGroup), scores, kPage);
    const auto in_page = [p, count](std::size_t position) {
      return std::min(count, position - std::min(position, p));
    };
    for (std::size_t i = 0; i < rows; ++i) {
      float* row = scores + i * kPage;
      const std::size_t end = chunk.start + item.tokens.begin + i / group + 1;
      const std::size_t begin = window != 0 && end > window ? end - window : 0;
      if (config_.attn_softcap > 0) active().soft_cap(config_.attn_softcap, row, count);
      soften(row, {in_page(begin), in_page(end)}, count, d, mean.highest[i], mean.total[i],
             mean.sum + i * d);
    }
    values_.add_values(scores, kPage, rows, d,
                       pool_.values(layer, *chunk.pages, item.head, p / kPage), count, mean.sum);
  }
}

void Attention::attend_item(std::size_t layer, const Pass& pass, const AttentionItem& item,
                            const AttentionItem* before, float* rows, float* out, bool stored,
                            Scratch& scratch) {
  const Chunk& chunk = pass.chunks[item.chunk];
  // A token's key and value are stored by the thread that attends to its position: no other reads
  // them.
  for (std::size_t t = item.tokens.begin; t < item.tokens.end && !stored; ++t) {
    const std::size_t position = chunk.start + t;
    if (position >= item.positions.begin && position < item.positions.end) {
      store_token(layer, chunk, t, item.head, rows);
    }
  }
  const std::size_t d = config_.head_dim;
  const std::size_t group = config_.group();
  const std::size_t n = item.tokens.size() * group;
  if (before == nullptr || !item.has_queries_of(*before)) {
    load_queries(layer, chunk, item.tokens, item.head, rows, scratch.q.data());
  }
  if (item.partial != AttentionItem::kWhole) {
    attend_slice(layer, chunk, item, item.positions, scratch,
                 mean_at(partials_.data() + item.partial, n));
    return;
  }
  const PartialMean mean = mean_at(scratch.mean.data(), n);
  const PartialMean part = mean_at(scratch.slice.data(), n);
  const Range slices = slices_of(item.positions);
  for (std::size_t s = slices.begin; s < slices.end; ++s) {
    const Range positions{std::max(item.positions.begin, s * kSlice),
                          std::min(item.positions.end, (s + 1) * kSlice)};
    const bool is_first = s == slices.begin;
    attend_slice(layer, chunk, item, positions, scratch, is_first ? mean : part);
    for (std::size_t i = 0; i < n && !is_first; ++i) {
      merge(part.highest[i], part.total[i], part.sum + i * d, d, mean.highest[i], mean.total[i],
            mean.sum + i * d);
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t token = chunk.kept + item.tokens.begin + i / group;
    float* to = out + token * config_.q_size() + (item.head * group + i % group) * d;
    finish(mean.total[i], mean.sum + i * d, to);
  }
}

void Attention::finish(float total, const float* sum, float* out) const {
  const std::size_t d = config_.head_dim;
  active().scale(1.0f / total, sum, out, d);
  if (spreads_values_) hadamard(out, d, spread_scale_);
}

void Attention::attend(std::size_t layer, const Pass& pass, const AttentionPlans& plans,
                       float* rows, float* out, bool stored, int thread, int n_threads) {
  const AttentionPlan& plan = plans.of(layer);
  const std::vector<AttentionItem>& items = plan.items();
  Scratch& scratch = scratch_[static_cast<std::size_t>(thread)];
  const AttentionItem* before = nullptr;
  const auto attend_next = [&](const AttentionItem& item) {
    attend_item(layer, pass, item, before, rows, out, stored, scratch);
    before = &item;
  };
  if (plan.stores_itself()) {
    const Range mine = plan.share(thread, n_threads);
    for (std::size_t i = mine.begin; i < mine.end; ++i) attend_next(items[i]);
    return;
  }
  for (;;) {
    const std::size_t i = next_item_.fetch_add(1, std::memory_order_relaxed);
    if (i >= items.size()) return;
    attend_next(items[i]);
  }
}

void Attention::combine(std::size_t layer, const Pass& pass, const AttentionPlans& plans,
                        Range kept, float* out) {
  const AttentionPlan& plan = plans.of(layer);
  const std::size_t d = config_.head_dim;
  const std::size_t group = config_.group();
  for (std::size_t c = 0; c < pass.chunks.size(); ++c) {
    const Chunk& chunk = pass.chunks[c];
    if (!plan.is_short(c)) continue;
    const std::size_t n = chunk.tokens * group;
    const std::size_t end = std::min(kept.end, chunk.kept + chunk.tokens);
    const Range slices = plan.slices(c);
    for (std::size_t token = std::max(kept.begin, chunk.kept); token < end; ++token) {
      float* to = out + token * config_.q_size();
      for (std::size_t h = 0; h < config_.heads; ++h, to += d) {
        const std::size_t row = (token - chunk.kept) * group + h % group;
        float highest = kNothing;
        float total = 0.0f;
        for (std::size_t s = slices.begin; s < slices.end; ++s) {
          const PartialMean part = mean_at(partials_.data() + plan.partial_of(c, h / group, s), n);
          const float* sum = part.sum + row * d;
          if (s == slices.begin) {
            highest = part.highest[row];
            total = part.total[row];
            std::copy(sum, sum + d, to);
          } else {
            merge(part.highest[row], part.total[row], sum, d, highest, total, to);
          }
        }
        finish(total, to, to);
      }
    }
  }
}

}  // namespace ggmlkit::engine
