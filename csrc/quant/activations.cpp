#include "quant/activations.h"

namespace ggmlkit {
namespace {

// What rounding leaves off a block.
void rest_of_block(const float* x, const ActivationSlot& rounded, float* rest) {
  for (std::size_t i = 0; i < kBlock; ++i) {
    const std::size_t place = i / 4 * 4 * rounded.width + i % 4;
    rest[i] = x[i] - rounded.scale[0] * static_cast<float>(rounded.q[place]);
  }
}

}  // namespace

void Activations::reserve(std::size_t tokens, std::size_t cols) {
  const std::size_t blocks = cols / kBlock;
  const std::size_t rows = tokens * parts_;
  q_.resize(rows * cols);
  scale_.resize(rows * blocks);
  sum_.resize(rows * blocks);
  start_.resize(rows * blocks);
  first_.resize(rows * blocks);
}

void Activations::attach(const float* x, std::size_t tokens, std::size_t cols) {
  rows_ = x;
  tokens_ = tokens;
  cols_ = cols;
}

void Activations::quantize_share(int thread, int n_threads) {
  // Only whole blocks are rounded: a matrix with a ragged row length is a float matrix.
  const std::size_t blocks = cols_ / kBlock;
  if (blocks * kBlock != cols_) return;
  const Range share = split(tokens_ * blocks, thread, n_threads, 4);
  for (std::size_t i = share.begin; i < share.end;) {
    const std::size_t token = i / blocks;
    const std::size_t end = std::min(share.end, (token + 1) * blocks);
    quantize_blocks(token, i - token * blocks, end - token * blocks);
    i = end;
  }
}

// Where a part of a token, counted through, has its rounded block.
ActivationSlot Activations::slot(std::size_t part, std::size_t block) {
  // The panel it is in: whole ones of kPanel, then what is left in 4, 2 and 1.
  const std::size_t parts = tokens_ * parts_;
  std::size_t panel = part / kPanel * kPanel;
  std::size_t width = panel_width(parts - panel);
  while (part >= panel + width) {
    panel += width;
    width = panel_width(parts - panel);
  }
  const std::size_t at = panel * (cols_ / kBlock) + block * width;
  const std::size_t place = part - panel;
  const std::size_t i = at + place;
  return {q_.data() + at * kBlock + place * 4,
          scale_.data() + i,
          sum_.data() + i,
          start_.data() + i,
          first_.data() + i,
          width};
}

void Activations::quantize_blocks(std::size_t token, std::size_t first, std::size_t end) {
  const float* x = rows_ + token * cols_;
  active().quantize_activations(x + first * kBlock, end - first, slot(token * parts_, first));
  if (parts_ == 1) return;
  for (std::size_t b = first; b < end; ++b) {
    float rest[kBlock];
    rest_of_block(x + b * kBlock, slot(token * parts_, b), rest);
    active().quantize_activations(rest, 1, slot(token * parts_ + 1, b));
  }
}

void Activations::quantize(const float* x, std::size_t tokens, std::size_t cols, ThreadPool& pool,
                           int threads) {
  reserve(tokens, cols);
  attach(x, tokens, cols);
  if (tokens < 8) threads = 1;
  pool.run([this](int thread, int n_threads) { quantize_share(thread, n_threads); }, threads);
}

void Activations::quantize(const float* x, std::size_t tokens, std::size_t cols) {
  reserve(tokens, cols);
  attach(x, tokens, cols);
  quantize_share(0, 1);
}

}  // namespace ggmlkit
