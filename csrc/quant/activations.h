// Rows of activations, quantized to int8 with a scale per 32 elements for quantized weights, in the
// panels that kernels take; the float rows stay available for float weights. If the processor
// multiplies bfloat16 matrices, whole panels of tokens are converted to bfloat16, which is faster
// and more accurate.
//
// Quantizing is least accurate in coarse blocks: an element much larger than the others of its row
// sets the scale of 31 neighbours, too. These blocks can be quantized in two parts, which have 16
// bits together. If every block is, nothing is converted to bfloat16.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "core/aligned.h"
#include "core/thread_pool.h"
#include "kernels/kernel_table.h"

namespace ggmlkit {

// A block counts as coarse if its scale is this much larger than the row's mean.
constexpr float kNoBlock = std::numeric_limits<float>::infinity();
constexpr float kEveryBlock = -1.0f;

class Activations {
 public:
  // Blocks are quantized in two parts where they are coarser than `coarse`.
  // Without matrix panels no tokens are converted to bfloat16: then what a token gives is
  // independent of how many are beside it.
  explicit Activations(float coarse = kNoBlock, bool has_matrix_panels = true)
      : coarse_(coarse), has_matrix_panels_(has_matrix_panels && coarse != kEveryBlock) {}

  // Room for `tokens` rows of `cols`; call before quantizing, outside a parallel job.
  void reserve(std::size_t tokens, std::size_t cols);

  // Points at x (tokens × cols, dense; must outlive the use) without quantizing it.
  void attach(const float* x, std::size_t tokens, std::size_t cols);

  // The rows that a thread quantizes. If blocks can have two parts, panels stay whole, as the
  // tokens of a panel have second parts of the same blocks.
  Range share(int thread, int n_threads) const;

  // Quantizes a share; nothing if rows aren't whole blocks, as such matrices have float weights.
  // Threads must wait at a barrier before the use.
  void quantize_rows(Range tokens);

  // reserve + attach + quantize_rows over the pool.
  void quantize(const float* x, std::size_t tokens, std::size_t cols, ThreadPool& pool,
                int threads = 0);
  // The same on the calling thread.
  void quantize(const float* x, std::size_t tokens, std::size_t cols);

  const float* rows() const { return rows_; }
  std::size_t tokens() const { return tokens_; }
  std::size_t cols() const { return cols_; }
  ActivationView view() const {
    return {q_.data(),      scale_.data(),  sum_.data(), start_.data(), first_.data(),
            blocks_.data(), counts_.data(), cols_,       room(cols_),   widest()};
  }

 private:
  struct Panel;
  bool has_two_parts() const { return coarse_ != kNoBlock; }
  // Tokens of the widest panels.
  std::size_t widest() const { return has_matrix_panels_ ? active().panel : kPanel; }
  std::size_t room(std::size_t cols) const {
    return cols / kBlock * (has_two_parts() || widest() == kMatrixPanel ? 2 : 1);
  }
  Panel panel_of(std::size_t token) const;
  ActivationSlot slot(const Panel& panel, std::size_t token, std::size_t i);
  void list_blocks(const Panel& panel);
  void add_second_parts(const Panel& panel);
  void move(const Panel& panel, std::size_t from, std::size_t to);

  float coarse_;
  bool has_matrix_panels_;
  const float* rows_ = nullptr;
  std::size_t tokens_ = 0;
  std::size_t cols_ = 0;
  AlignedArray<std::int8_t> q_;
  AlignedArray<float> scale_;
  AlignedArray<std::int32_t> sum_;
  AlignedArray<std::int32_t> start_;
  AlignedArray<std::int32_t> first_;
  AlignedArray<std::uint32_t> blocks_;
  AlignedArray<std::uint32_t> counts_;
};

}  // namespace ggmlkit
