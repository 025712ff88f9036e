#include "quant/activations.h"

namespace ggmlkit {

void Activations::reserve(std::size_t tokens, std::size_t cols) {
  const std::size_t blocks = cols / kBlock;
  q_.resize(tokens * cols);
  scale_.resize(tokens * blocks);
  sum_.resize(tokens * blocks);
  half_sums_.resize(tokens * blocks);
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
  if (share.begin == share.end) return;
  active().quantize_activations(rows_ + share.begin * kBlock, (share.end - share.begin) * kBlock,
                                q_.data() + share.begin * kBlock, scale_.data() + share.begin,
                                sum_.data() + share.begin, half_sums_.data() + share.begin);
}

void Activations::quantize_blocks(std::size_t token, std::size_t first, std::size_t end) {
  const std::size_t at = token * (cols_ / kBlock) + first;
  active().quantize_activations(rows_ + at * kBlock, (end - first) * kBlock,
                                q_.data() + at * kBlock, scale_.data() + at, sum_.data() + at,
                                half_sums_.data() + at);
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
