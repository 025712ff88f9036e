#include "quant/activations.h"

#include <algorithm>

namespace ggmlkit {
namespace {

// The rounding errors of quantizing a block.
void rest_of_block(const float* x, const ActivationSlot& quantized, float* rest) {
  for (std::size_t i = 0; i < kBlock; ++i) {
    const std::size_t place = i / 4 * quad_step(quantized.width) + i % 4;
    rest[i] = x[i] - quantized.scale[0] * static_cast<float>(quantized.q[place]);
  }
}

}  // namespace

struct Activations::Panel {
  std::size_t first;  // token
  std::size_t width;
};

void Activations::reserve(std::size_t tokens, std::size_t cols) {
  const std::size_t blocks = tokens * room(cols);
  q_.resize(blocks * kBlock);
  scale_.resize(blocks);
  sum_.resize(blocks);
  start_.resize(blocks);
  first_.resize(blocks);
  blocks_.resize(blocks);
  counts_.resize(tokens);
}

void Activations::attach(const float* x, std::size_t tokens, std::size_t cols) {
  rows_ = x;
  tokens_ = tokens;
  cols_ = cols;
}

Range Activations::share(int thread, int n_threads) const {
  return split(tokens_, thread, n_threads, has_two_parts() ? widest() : 1);
}

// Panels of the widest size, then the remaining tokens in panels of 8, 4, 2 and 1.
Activations::Panel Activations::panel_of(std::size_t token) const {
  Panel panel{token / widest() * widest(), 0};
  panel.width = panel_width(tokens_ - panel.first, widest());
  while (token >= panel.first + panel.width) {
    panel.first += panel.width;
    panel.width = panel_width(tokens_ - panel.first, widest());
  }
  return panel;
}

// The place of quantized block i of a token in a panel.
ActivationSlot Activations::slot(const Panel& panel, std::size_t token, std::size_t i) {
  const std::size_t at = panel.first * room(cols_) + i * panel.width;
  const std::size_t place = token - panel.first;
  return {q_.data() + at * kBlock + place * token_step(panel.width),
          scale_.data() + at + place,
          sum_.data() + at + place,
          start_.data() + at + place,
          first_.data() + at + place,
          panel.width};
}

void Activations::quantize_rows(Range tokens) {
  const std::size_t blocks = cols_ / kBlock;
  if (blocks * kBlock != cols_) return;
  for (std::size_t t = tokens.begin; t < tokens.end; ++t) {
    const Panel panel = panel_of(t);
    active().quantize_activations(rows_ + t * cols_, blocks, slot(panel, t, 0));
    if (panel.width == kMatrixPanel) continue;
    if (t == panel.first) list_blocks(panel);
    if (has_two_parts() && t == panel.first + panel.width - 1) add_second_parts(panel);
  }
}

// Quantizes each block in one part.
void Activations::list_blocks(const Panel& panel) {
  const std::size_t blocks = cols_ / kBlock;
  std::uint32_t* list = blocks_.data() + panel.first * room(cols_);
  for (std::size_t b = 0; b < blocks; ++b) list[b] = static_cast<std::uint32_t>(b);
  counts_[panel.first] = static_cast<std::uint32_t>(blocks);
}

// If a block is coarse in one token, it gets a second part, directly after the first, in all tokens
// of the panel. In the other tokens it is zero, so that a token's product is independent of the
// other tokens in the batch.
void Activations::add_second_parts(const Panel& panel) {
  const std::size_t blocks = cols_ / kBlock;
  const std::size_t width = panel.width;
  const float* scale = slot(panel, panel.first, 0).scale;
  float limit[kPanel] = {};
  for (std::size_t b = 0; b < blocks; ++b) {
    for (std::size_t t = 0; t < width; ++t) limit[t] += scale[b * width + t];
  }
  for (float& v : limit) v *= coarse_ / static_cast<float>(blocks);
  const auto is_coarse = [&](std::size_t b) {
    bool any = false;
    for (std::size_t t = 0; t < width; ++t) any |= scale[b * width + t] > limit[t];
    return any;
  };
  std::size_t coarse = 0;
  for (std::size_t b = 0; b < blocks; ++b) coarse += is_coarse(b);
  if (coarse == 0) return;
  std::uint32_t* list = blocks_.data() + panel.first * room(cols_);
  counts_[panel.first] = static_cast<std::uint32_t>(blocks + coarse);
  for (std::size_t b = blocks; coarse != 0;) {  // from the end, where there is room
    --b;
    const bool has_second = is_coarse(b);
    if (has_second) list[b + coarse] = static_cast<std::uint32_t>(b);
    coarse -= has_second;
    list[b + coarse] = static_cast<std::uint32_t>(b);
    if (coarse != 0) move(panel, b, b + coarse);
    if (!has_second) continue;
    for (std::size_t t = 0; t < width; ++t) {
      const std::size_t token = panel.first + t;
      const ActivationSlot first = slot(panel, token, b + coarse);
      float rest[kBlock] = {};
      if (first.scale[0] > limit[t]) {
        rest_of_block(rows_ + token * cols_ + b * kBlock, first, rest);
      }
      active().quantize_activations(rest, 1, slot(panel, token, b + coarse + 1));
    }
  }
}

// Moves a quantized block of all tokens of a panel to another place.
void Activations::move(const Panel& panel, std::size_t from, std::size_t to) {
  const ActivationSlot a = slot(panel, panel.first, from);
  const ActivationSlot b = slot(panel, panel.first, to);
  std::copy(a.q, a.q + kBlock * panel.width, b.q);
  std::copy(a.scale, a.scale + panel.width, b.scale);
  std::copy(a.sum, a.sum + panel.width, b.sum);
  std::copy(a.start, a.start + panel.width, b.start);
  std::copy(a.first, a.first + panel.width, b.first);
}

void Activations::quantize(const float* x, std::size_t tokens, std::size_t cols, ThreadPool& pool,
                           int threads) {
  reserve(tokens, cols);
  attach(x, tokens, cols);
  if (tokens < 8) threads = 1;
  pool.run([this](int thread, int n_threads) { quantize_rows(share(thread, n_threads)); }, threads);
}

void Activations::quantize(const float* x, std::size_t tokens, std::size_t cols) {
  reserve(tokens, cols);
  attach(x, tokens, cols);
  quantize_rows({0, tokens});
}

}  // namespace ggmlkit
