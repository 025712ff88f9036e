#include "engine/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/kernel_table.h"

namespace ggmlkit::engine {
namespace {

// Positions that attention reads at a time: their scores, keys and values fit the first-level
// cache.
constexpr std::size_t kKeyRange = 64;
// Rows of queries that share what is read.
constexpr std::size_t kQueryRows = 24;
constexpr std::size_t kShortTokens = 8;
// Slices that the positions of a short chunk are cut into at most: enough for many threads to have
// equal shares, few enough to be combined at no cost.
constexpr std::size_t kMostSlices = 32;

std::size_t ceil_div(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

// Positions of a slice: a function of what a chunk sees alone, so that results are independent of
// the number of threads.
std::size_t slice_size(Range seen) {
  return ceil_div(ceil_div(seen.size(), kMostSlices), kKeyRange) * kKeyRange;
}

std::size_t slices_of(Range seen) { return ceil_div(seen.size(), slice_size(seen)); }

PartialMean mean_at(float* memory, std::size_t rows) {
  return {memory, memory + rows, memory + 2 * rows};
}

// Scores of one row in a key range of `count` to weights; it sees some of them.
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

}  // namespace

Attention::Attention(const Weights& weights, std::size_t context, std::size_t sequences,
                     KvType type, std::size_t tokens, int threads)
    : weights_(weights),
      config_(weights.config()),
      kernels_(active().kv[static_cast<std::size_t>(type)]),
      cache_(config_, context, sequences, type),
      rope_(config_.rope, context),
      tokens_at_once_(std::max<std::size_t>(1, kQueryRows / config_.group())),
      short_tokens_(std::min(kShortTokens, tokens_at_once_)),
      scratch_(static_cast<std::size_t>(threads)) {
  if (config_.sliding_rope) sliding_rope_.emplace(*config_.sliding_rope, context);
  const std::size_t d = config_.head_dim;
  const std::size_t rows = tokens_at_once_ * config_.group();
  for (Scratch& s : scratch_) {
    s.q.resize(rows * d);
    s.scores.resize(rows * kKeyRange);
    s.mean.resize(rows * (d + 2));
  }
  const std::size_t short_chunks = std::max(short_tokens_, std::min(sequences, tokens));
  slices_.resize(short_chunks * config_.heads * kMostSlices * (d + 2));
}

std::size_t Attention::nbytes() const {
  std::size_t floats = slices_.size();
  for (const Scratch& s : scratch_) floats += s.q.size() + s.scores.size() + s.mean.size();
  return cache_.nbytes() + floats * sizeof(float);
}

float* Attention::slice_memory(const Chunk& chunk, std::size_t slot, std::size_t head,
                               std::size_t slice) {
  const std::size_t row = config_.head_dim + 2;
  const std::size_t first = slot * config_.heads * kMostSlices;
  const std::size_t rows = chunk.tokens * config_.group();
  return slices_.data() + (first + (head * kMostSlices + slice) * rows) * row;
}

Range Attention::seen_by(std::size_t layer, const Chunk& chunk, Range tokens) const {
  const std::size_t window = config_.window(layer);
  const std::size_t first_end = chunk.start + tokens.begin + 1;
  const std::size_t first = window != 0 && first_end > window ? first_end - window : 0;
  return {first / kKvGroup * kKvGroup, chunk.start + tokens.end};
}

void Attention::store_token(std::size_t layer, const Chunk& chunk, std::size_t token,
                            std::size_t head, float* rows) {
  const std::size_t d = config_.head_dim;
  const std::size_t position = chunk.start + token;
  const std::size_t place = position % kKvGroup;
  float* k = rows + (chunk.row + token) * row_size() + config_.q_size() + head * d;
  if (config_.has_head_norms) {
    active().rms_norm(k, weights_.layers()[layer].k_norm.data(), config_.norm_eps, k, d);
  }
  rope(layer).rotate(k, 1, d, position);
  kernels_.store_key(k, d, place, cache_.keys(layer, chunk.sequence, head, position));
  kernels_.store_value(k + config_.kv_size(), d, place,
                       cache_.values(layer, chunk.sequence, head, position));
}

void Attention::store(std::size_t layer, const Chunk& chunk, Range tokens, float* rows,
                      int thread) {
  // All threads are done with the layer before, and wait at a barrier before they attend here.
  if (thread == 0) next_item_.store(0, std::memory_order_relaxed);
  for (std::size_t head = 0; head < config_.kv_heads; ++head) {
    for (std::size_t t = tokens.begin; t < tokens.end; ++t) {
      store_token(layer, chunk, t, head, rows);
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
  }
}

// Queries of some tokens, which lie in `scratch`, over positions from the first of a KV group on.
void Attention::attend(std::size_t layer, const Chunk& chunk, Range tokens, std::size_t head,
                       Range positions, Scratch& scratch, const PartialMean& mean) {
  const std::size_t d = config_.head_dim;
  const std::size_t group = config_.group();
  const std::size_t window = config_.window(layer);
  const std::size_t rows = (tokens.end - tokens.begin) * group;
  float* scores = scratch.scores.data();
  std::fill(mean.highest, mean.highest + rows, -std::numeric_limits<float>::infinity());
  std::fill(mean.total, mean.total + rows, 0.0f);
  std::fill(mean.sum, mean.sum + rows * d, 0.0f);
  for (std::size_t p = positions.begin; p < positions.end; p += kKeyRange) {
    const std::size_t count = std::min(kKeyRange, positions.end - p);
    kernels_.scores(scratch.q.data(), rows, d, cache_.keys(layer, chunk.sequence, head, p),
                    ceil_div(count, kKvGroup), scores, kKeyRange);
    const auto in_range = [p, count](std::size_t position) {
      return std::min(count, position - std::min(position, p));
    };
    for (std::size_t i = 0; i < rows; ++i) {
      float* row = scores + i * kKeyRange;
      const std::size_t end = chunk.start + tokens.begin + i / group + 1;
      const std::size_t begin = window != 0 && end > window ? end - window : 0;
      if (config_.attn_softcap > 0) active().soft_cap(config_.attn_softcap, row, count);
      soften(row, {in_range(begin), in_range(end)}, count, d, mean.highest[i], mean.total[i],
             mean.sum + i * d);
    }
    kernels_.add_values(scores, kKeyRange, rows, d, cache_.values(layer, chunk.sequence, head, p),
                        count, mean.sum);
  }
}

void Attention::attend_long(std::size_t layer, const Chunk& chunk, const float* rows, float* out,
                            int thread) {
  const std::size_t size = config_.group() * config_.head_dim;
  Scratch& scratch = scratch_[static_cast<std::size_t>(thread)];
  const std::size_t parts = ceil_div(chunk.tokens, tokens_at_once_);
  for (;;) {
    const std::size_t item = next_item_.fetch_add(1, std::memory_order_relaxed);
    if (item >= parts * config_.kv_heads) return;
    const std::size_t head = item % config_.kv_heads;
    // Later tokens see more: they come first, so that the cheap ones even things out.
    const std::size_t first = (parts - 1 - item / config_.kv_heads) * tokens_at_once_;
    const Range tokens{first, std::min(chunk.tokens, first + tokens_at_once_)};
    const std::size_t n = tokens.end - tokens.begin;
    load_queries(layer, chunk, tokens, head, rows, scratch.q.data());
    const PartialMean mean = mean_at(scratch.mean.data(), n * config_.group());
    attend(layer, chunk, tokens, head, seen_by(layer, chunk, tokens), scratch, mean);
    for (std::size_t i = 0; i < n * config_.group(); ++i) {
      float* to = out + (chunk.row + first + i / config_.group()) * config_.q_size() + head * size +
                  i % config_.group() * config_.head_dim;
      active().scale(1.0f / mean.total[i], mean.sum + i * config_.head_dim, to, config_.head_dim);
    }
  }
}

void Attention::attend_slice(std::size_t layer, const Chunk& chunk, std::size_t slot,
                             std::size_t head, std::size_t slice, float* rows, bool stored,
                             Scratch& scratch) {
  const Range seen = seen_by(layer, chunk);
  const std::size_t first = seen.begin + slice * slice_size(seen);
  const Range positions{first, std::min(seen.end, first + slice_size(seen))};
  // A token's key and value are stored by the thread that attends to its position: no other reads
  // them.
  for (std::size_t t = 0; t < chunk.tokens && !stored; ++t) {
    const std::size_t position = chunk.start + t;
    if (position >= positions.begin && position < positions.end) {
      store_token(layer, chunk, t, head, rows);
    }
  }
  load_queries(layer, chunk, {0, chunk.tokens}, head, rows, scratch.q.data());
  attend(layer, chunk, {0, chunk.tokens}, head, positions, scratch,
         mean_at(slice_memory(chunk, slot, head, slice), chunk.tokens * config_.group()));
}

void Attention::attend_short(std::size_t layer, const Chunk* chunks, std::size_t n_chunks,
                             float* rows, bool stored, int thread, int n_threads) {
  std::size_t items = 0;
  for (std::size_t r = 0; r < n_chunks; ++r) {
    items += config_.kv_heads * slices_of(seen_by(layer, chunks[r]));
  }
  const Range mine = split(items, thread, n_threads);
  std::size_t before = 0;
  for (std::size_t r = 0; r < n_chunks; ++r) {
    const std::size_t slices = slices_of(seen_by(layer, chunks[r]));
    const std::size_t end = std::min(mine.end, before + config_.kv_heads * slices);
    for (std::size_t i = std::max(mine.begin, before); i < end; ++i) {
      attend_slice(layer, chunks[r], r, (i - before) / slices, (i - before) % slices, rows, stored,
                   scratch_[static_cast<std::size_t>(thread)]);
    }
    before += config_.kv_heads * slices;
  }
}

void Attention::combine(std::size_t layer, const Chunk* chunks, std::size_t n_chunks,
                        std::size_t token, float* out) {
  // Either one chunk, or chunks of one token.
  const std::size_t slot = n_chunks == 1 ? 0 : token;
  const Chunk& chunk = chunks[slot];
  const std::size_t d = config_.head_dim;
  const std::size_t group = config_.group();
  const std::size_t slices = slices_of(seen_by(layer, chunk));
  for (std::size_t h = 0; h < config_.heads; ++h, out += d) {
    const std::size_t row = (n_chunks == 1 ? token : 0) * group + h % group;
    const auto mean = [&](std::size_t slice) {
      return mean_at(slice_memory(chunk, slot, h / group, slice), chunk.tokens * group);
    };
    float highest = mean(0).highest[row];
    for (std::size_t c = 1; c < slices; ++c) highest = std::max(highest, mean(c).highest[row]);
    float total = 0.0f;
    std::fill(out, out + d, 0.0f);
    for (std::size_t c = 0; c < slices; ++c) {
      const PartialMean part = mean(c);
      const float weight = std::exp(part.highest[row] - highest);
      total += weight * part.total[row];
      active().add_scaled(weight, part.sum + row * d, out, d);
    }
    active().scale(1.0f / total, out, out, d);
  }
}

}  // namespace ggmlkit::engine
