#include "engine/attention_plan.h"

#include <algorithm>

namespace ggmlkit::engine {

void AttentionPlan::plan(const Pass& pass) {
  items_.clear();
  short_.assign(pass.chunks.size(), {});
  partial_floats_ = 0;
  stores_itself_ = true;
  for (std::size_t c = 0; c < pass.chunks.size(); ++c) {
    if (pass.chunks[c].tokens > sizes_.short_tokens) add_whole(pass, c);
  }
  stores_itself_ = items_.empty();
  // Those that cost most first, so that the cheap ones even things out.
  std::stable_sort(items_.begin(), items_.end(), [](const auto& a, const auto& b) {
    return a.positions.size() > b.positions.size();
  });
  for (std::size_t c = 0; c < pass.chunks.size(); ++c) {
    if (pass.chunks[c].tokens <= sizes_.short_tokens) add_short(pass, c);
  }
  costs_.assign(1, 0);
  for (const AttentionItem& item : items_) costs_.push_back(costs_.back() + item.positions.size());
}

void AttentionPlan::add_whole(const Pass& pass, std::size_t c) {
  const Chunk& chunk = pass.chunks[c];
  for (std::size_t first = 0; first < chunk.tokens; first += sizes_.most_tokens) {
    const Range tokens{first, std::min(chunk.tokens, first + sizes_.most_tokens)};
    const Range seen = seen_by(chunk, tokens, sizes_.window);
    for (std::size_t head = 0; head < sizes_.kv_heads; ++head) {
      items_.push_back({c, head, tokens, seen, AttentionItem::kWhole});
    }
  }
}

void AttentionPlan::add_short(const Pass& pass, std::size_t c) {
  const Chunk& chunk = pass.chunks[c];
  const Range tokens{0, chunk.tokens};
  const Range seen = seen_by(chunk, tokens, sizes_.window);
  short_[c] = {partial_floats_, chunk.tokens * sizes_.group, slices_of(seen)};
  for (std::size_t head = 0; head < sizes_.kv_heads; ++head) {
    for (std::size_t s = short_[c].slices.begin; s < short_[c].slices.end; ++s) {
      const Range positions{std::max(seen.begin, s * kSlice), std::min(seen.end, (s + 1) * kSlice)};
      items_.push_back({c, head, tokens, positions, partial_of(c, head, s)});
    }
  }
  partial_floats_ = partial_of(c, sizes_.kv_heads, short_[c].slices.begin);
}

std::size_t AttentionPlan::partial_of(std::size_t chunk, std::size_t head,
                                      std::size_t slice) const {
  const ShortChunk& s = short_[chunk];
  const std::size_t before = head * s.slices.size() + (slice - s.slices.begin);
  return s.first + before * s.rows * (sizes_.head_dim + 2);
}

Range AttentionPlan::share(int thread, int n_threads) const {
  // An item goes to the thread in whose share its middle lies.
  const auto first_of = [&](int t) {
    const std::size_t goal =
        costs_.back() * static_cast<std::size_t>(t) * 2 / static_cast<std::size_t>(n_threads);
    const auto is_before = [&](std::size_t i) { return costs_[i] + costs_[i + 1] < goal; };
    std::size_t low = 0;
    std::size_t high = items_.size();
    while (low < high) {
      const std::size_t middle = (low + high) / 2;
      if (is_before(middle)) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return t == n_threads ? items_.size() : low;
  };
  return {first_of(thread), first_of(thread + 1)};
}

}  // namespace ggmlkit::engine
