// Rows of activations, rounded to int8 per 32 elements for quantized weights, in the panels that
// kernels take; the float rows stay reachable for float weights.
//
// In two parts a row has 16 bits: it is rounded, and what that left off is rounded as a row of its
// own. Kernels see two tokens, 2t and 2t + 1, whose products matmul_rows adds.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/aligned.h"
#include "core/thread_pool.h"
#include "kernels/kernel_table.h"

namespace ggmlkit {

class Activations {
 public:
  explicit Activations(std::size_t parts = 1) : parts_(parts) {}

  // Room for `tokens` rows of `cols`; call before quantize_share, outside a parallel job.
  void reserve(std::size_t tokens, std::size_t cols);

  // Points at x (tokens × cols, dense; must outlive the use) without rounding it.
  void attach(const float* x, std::size_t tokens, std::size_t cols);

  // Rounds this thread's share of the rows. All threads must pass a barrier before the use.
  void quantize_share(int thread, int n_threads);

  // Rounds blocks [first, end) of one token. Threads may round different tokens or blocks at once.
  void quantize_blocks(std::size_t token, std::size_t first, std::size_t end);
  // Rounds a whole row; nothing where rows are no whole blocks.
  void quantize_row(std::size_t token) {
    if (cols_ % kBlock == 0) quantize_blocks(token, 0, cols_ / kBlock);
  }

  // reserve + attach + quantize_share over the pool.
  void quantize(const float* x, std::size_t tokens, std::size_t cols, ThreadPool& pool,
                int threads = 0);
  // The same on the calling thread.
  void quantize(const float* x, std::size_t tokens, std::size_t cols);

  const float* rows() const { return rows_; }
  std::size_t tokens() const { return tokens_; }
  std::size_t parts() const { return parts_; }
  std::size_t cols() const { return cols_; }
  ActivationView view() const {
    return {q_.data(), scale_.data(), sum_.data(), start_.data(), first_.data(), cols_};
  }

 private:
  ActivationSlot slot(std::size_t part, std::size_t block);

  std::size_t parts_;
  const float* rows_ = nullptr;
  std::size_t tokens_ = 0;
  std::size_t cols_ = 0;
  AlignedArray<std::int8_t> q_;
  AlignedArray<float> scale_;
  AlignedArray<std::int32_t> sum_;
  AlignedArray<std::int32_t> start_;
  AlignedArray<std::int32_t> first_;
};

}  // namespace ggmlkit
