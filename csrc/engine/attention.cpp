#include "engine/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/kernel_table.h"

namespace ggmlkit::llama {
namespace {

// Positions of one block of softmax: with its scores, keys and values in the first-level cache.
constexpr std::size_t kKeyBlock = 64;
// Rows of queries that share what is read of a block.
constexpr std::size_t kTileRows = 24;
constexpr std::size_t kShortTokens = 8;
// Pieces that the positions of a short run are cut into at most: enough for many threads to have
// equal shares, few enough to be combined at no cost.
constexpr std::size_t kMostChunks = 32;

std::size_t ceil_div(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

std::size_t length(Range r) { return r.end - r.begin; }

// Positions of a chunk: a function of what a run sees, so that results don't depend on who
// computes.
std::size_t chunk_size(Range seen) {
  return ceil_div(ceil_div(length(seen), kMostChunks), kKeyBlock) * kKeyBlock;
}

std::size_t chunks_of(Range seen) { return ceil_div(length(seen), chunk_size(seen)); }

PartialMean mean_at(float* memory, std::size_t rows) {
  return {memory, memory + rows, memory + 2 * rows};
}

// The weights of one row's scores within a block of `count`, of which it sees some.
void soften(float* scores, Range seen, std::size_t count, std::size_t d, float& highest,
            float& total, float* sum) {
  const KernelTable& kernels = active();
  if (const std::size_t n = length(seen); n != 0) {
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
      tile_tokens_(std::max<std::size_t>(1, kTileRows / config_.group())),
      short_tokens_(std::min(kShortTokens, tile_tokens_)),
      scratch_(static_cast<std::size_t>(threads)) {
  if (config_.sliding_rope) sliding_rope_.emplace(*config_.sliding_rope, context);
  const std::size_t d = config_.head_dim;
  const std::size_t rows = tile_tokens_ * config_.group();
  for (Scratch& s : scratch_) {
    s.q.resize(rows * d);
    s.scores.resize(rows * kKeyBlock);
    s.mean.resize(rows * (d + 2));
  }
  const std::size_t short_runs = std::max(short_tokens_, std::min(sequences, tokens));
  chunks_.resize(short_runs * config_.heads * kMostChunks * (d + 2));
}

std::size_t Attention::nbytes() const {
  std::size_t floats = chunks_.size();
  for (const Scratch& s : scratch_) floats += s.q.size() + s.scores.size() + s.mean.size();
  return cache_.nbytes() + floats * sizeof(float);
}

float* Attention::chunk_memory(const Run& run, std::size_t slot, std::size_t head,
                               std::size_t chunk) {
  const std::size_t row = config_.head_dim + 2;
  const std::size_t first = slot * config_.heads * kMostChunks;
  const std::size_t rows = run.tokens * config_.group();
  return chunks_.data() + (first + (head * kMostChunks + chunk) * rows) * row;
}

Range Attention::seen_by(std::size_t layer, const Run& run, Range tokens) const {
  const std::size_t window = config_.window(layer);
  const std::size_t first_end = run.start + tokens.begin + 1;
  const std::size_t first = window != 0 && first_end > window ? first_end - window : 0;
  return {first / kKvGroup * kKvGroup, run.start + tokens.end};
}

void Attention::store_token(std::size_t layer, const Run& run, std::size_t token, std::size_t head,
                            float* rows) {
  const std::size_t d = config_.head_dim;
  const std::size_t position = run.start + token;
  const std::size_t place = position % kKvGroup;
  float* k = rows + (run.row + token) * row_size() + config_.q_size() + head * d;
  if (config_.has_head_norms) {
    active().rms_norm(k, weights_.layers()[layer].k_norm.data(), config_.norm_eps, k, d);
  }
  rope(layer).rotate(k, 1, d, position);
  kernels_.store_key(k, d, place, cache_.keys(layer, run.sequence, head, position));
  kernels_.store_value(k + config_.kv_size(), d, place,
                       cache_.values(layer, run.sequence, head, position));
}

void Attention::store(std::size_t layer, const Run& run, Range tokens, float* rows, int thread) {
  // All have left the tiles of the layer before, and none enters this one's until they have met.
  if (thread == 0) next_tile_.store(0, std::memory_order_relaxed);
  for (std::size_t head = 0; head < config_.kv_heads; ++head) {
    for (std::size_t t = tokens.begin; t < tokens.end; ++t) {
      store_token(layer, run, t, head, rows);
    }
  }
}

void Attention::load_queries(std::size_t layer, const Run& run, Range tokens, std::size_t head,
                             const float* rows, float* q) const {
  const std::size_t d = config_.head_dim;
  const std::size_t size = config_.group() * d;
  const float scale = config_.score_scale();
  const std::vector<float>& norm = weights_.layers()[layer].q_norm;
  for (std::size_t t = tokens.begin; t < tokens.end; ++t, q += size) {
    const float* from = rows + (run.row + t) * row_size() + head * size;
    if (config_.has_head_norms) {
      for (std::size_t i = 0; i < size; i += d) {
        active().rms_norm(from + i, norm.data(), config_.norm_eps, q + i, d);
      }
      from = q;
    }
    active().scale(scale, from, q, size);
    rope(layer).rotate(q, config_.group(), d, run.start + t);
  }
}

// Queries of some tokens, which lie in `scratch`, over a range of positions from a group's first.
void Attention::attend(std::size_t layer, const Run& run, Range tokens, std::size_t head,
                       Range positions, Scratch& scratch, const PartialMean& mean) {
  const std::size_t d = config_.head_dim;
  const std::size_t group = config_.group();
  const std::size_t window = config_.window(layer);
  const std::size_t rows = (tokens.end - tokens.begin) * group;
  float* scores = scratch.scores.data();
  std::fill(mean.highest, mean.highest + rows, -std::numeric_limits<float>::infinity());
  std::fill(mean.total, mean.total + rows, 0.0f);
  std::fill(mean.sum, mean.sum + rows * d, 0.0f);
  for (std::size_t p = positions.begin; p < positions.end; p += kKeyBlock) {
    const std::size_t count = std::min(kKeyBlock, positions.end - p);
    kernels_.scores(scratch.q.data(), rows, d, cache_.keys(layer, run.sequence, head, p),
                    ceil_div(count, kKvGroup), scores, kKeyBlock);
    const auto in_block = [p, count](std::size_t position) {
      return std::min(count, position - std::min(position, p));
    };
    for (std::size_t i = 0; i < rows; ++i) {
      float* row = scores + i * kKeyBlock;
      const std::size_t end = run.start + tokens.begin + i / group + 1;
      const std::size_t begin = window != 0 && end > window ? end - window : 0;
      if (config_.attn_softcap > 0) active().soft_cap(config_.attn_softcap, row, count);
      soften(row, {in_block(begin), in_block(end)}, count, d, mean.highest[i], mean.total[i],
             mean.sum + i * d);
    }
    kernels_.add_values(scores, kKeyBlock, rows, d, cache_.values(layer, run.sequence, head, p),
                        count, mean.sum);
  }
}

void Attention::attend_tiles(std::size_t layer, const Run& run, const float* rows, float* out,
                             int thread) {
  const std::size_t size = config_.group() * config_.head_dim;
  Scratch& scratch = scratch_[static_cast<std::size_t>(thread)];
  const std::size_t tiles = ceil_div(run.tokens, tile_tokens_);
  for (;;) {
    const std::size_t item = next_tile_.fetch_add(1, std::memory_order_relaxed);
    if (item >= tiles * config_.kv_heads) return;
    const std::size_t head = item % config_.kv_heads;
    // Later tokens see more: the dearest tiles come first, so that the cheap ones even things out.
    const std::size_t first = (tiles - 1 - item / config_.kv_heads) * tile_tokens_;
    const Range tokens{first, std::min(run.tokens, first + tile_tokens_)};
    const std::size_t n = tokens.end - tokens.begin;
    load_queries(layer, run, tokens, head, rows, scratch.q.data());
    const PartialMean mean = mean_at(scratch.mean.data(), n * config_.group());
    attend(layer, run, tokens, head, seen_by(layer, run, tokens), scratch, mean);
    for (std::size_t i = 0; i < n * config_.group(); ++i) {
      float* to = out + (run.row + first + i / config_.group()) * config_.q_size() + head * size +
                  i % config_.group() * config_.head_dim;
      active().scale(1.0f / mean.total[i], mean.sum + i * config_.head_dim, to, config_.head_dim);
    }
  }
}

void Attention::attend_chunk(std::size_t layer, const Run& run, std::size_t slot, std::size_t head,
                             std::size_t chunk, float* rows, bool stored, Scratch& scratch) {
  const Range seen = seen_by(layer, run);
  const std::size_t first = seen.begin + chunk * chunk_size(seen);
  const Range positions{first, std::min(seen.end, first + chunk_size(seen))};
  // A token's key and value are stored by who attends to its position: none else reads them.
  for (std::size_t t = 0; t < run.tokens && !stored; ++t) {
    const std::size_t position = run.start + t;
    if (position >= positions.begin && position < positions.end) {
      store_token(layer, run, t, head, rows);
    }
  }
  load_queries(layer, run, {0, run.tokens}, head, rows, scratch.q.data());
  attend(layer, run, {0, run.tokens}, head, positions, scratch,
         mean_at(chunk_memory(run, slot, head, chunk), run.tokens * config_.group()));
}

void Attention::attend_chunks(std::size_t layer, const Run* runs, std::size_t n_runs, float* rows,
                              bool stored, int thread, int n_threads) {
  std::size_t items = 0;
  for (std::size_t r = 0; r < n_runs; ++r) {
    items += config_.kv_heads * chunks_of(seen_by(layer, runs[r]));
  }
  const Range mine = split(items, thread, n_threads);
  std::size_t before = 0;
  for (std::size_t r = 0; r < n_runs; ++r) {
    const std::size_t chunks = chunks_of(seen_by(layer, runs[r]));
    const std::size_t end = std::min(mine.end, before + config_.kv_heads * chunks);
    for (std::size_t i = std::max(mine.begin, before); i < end; ++i) {
      attend_chunk(layer, runs[r], r, (i - before) / chunks, (i - before) % chunks, rows, stored,
                   scratch_[static_cast<std::size_t>(thread)]);
    }
    before += config_.kv_heads * chunks;
  }
}

void Attention::combine(std::size_t layer, const Run* runs, std::size_t n_runs, std::size_t token,
                        float* out) {
  // Either one run, or runs of one token.
  const std::size_t slot = n_runs == 1 ? 0 : token;
  const Run& run = runs[slot];
  const std::size_t d = config_.head_dim;
  const std::size_t group = config_.group();
  const std::size_t chunks = chunks_of(seen_by(layer, run));
  for (std::size_t h = 0; h < config_.heads; ++h, out += d) {
    const std::size_t row = (n_runs == 1 ? token : 0) * group + h % group;
    const auto mean = [&](std::size_t chunk) {
      return mean_at(chunk_memory(run, slot, h / group, chunk), run.tokens * group);
    };
    float highest = mean(0).highest[row];
    for (std::size_t c = 1; c < chunks; ++c) highest = std::max(highest, mean(c).highest[row]);
    float total = 0.0f;
    std::fill(out, out + d, 0.0f);
    for (std::size_t c = 0; c < chunks; ++c) {
      const PartialMean part = mean(c);
      const float weight = std::exp(part.highest[row] - highest);
      total += weight * part.total[row];
      active().add_scaled(weight, part.sum + row * d, out, d);
    }
    active().scale(1.0f / total, out, out, d);
  }
}

}  // namespace ggmlkit::llama
