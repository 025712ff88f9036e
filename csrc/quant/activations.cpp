#include "quant/activations.h"

namespace ggmlkit {

void Activations::reserve(std::size_t tokens, std::size_t cols) {
  const std::size_t blocks = cols / kBlock;
  q_.resize(tokens * cols);
  scale_.resize(tokens * blocks);
  sum_.resize(tokens * blocks);
  start_.resize(tokens * blocks);
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

void Activations::quantize_blocks(std::size_t token, std::size_t first, std::size_t end) {
  const std::size_t blocks = cols_ / kBlock;
  // The panel the token is in: whole ones of kPanel, then what is left in 4, 2 and 1.
  std::size_t panel = token / kPanel * kPanel;
  std::size_t width = panel_width(tokens_ - panel);
  while (token >= panel + width) {
    panel += width;
    width = panel_width(tokens_ - panel);
  }
  const std::size_t block = panel * blocks + first * width;
  const std::size_t slot = token - panel;
  active().quantize_activations(
      rows_ + token * cols_ + first * kBlock, end - first,
      {q_.data() + block * kBlock + slot * 4, scale_.data() + block + slot,
       sum_.data() + block + slot, start_.data() + block + slot, width});
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
