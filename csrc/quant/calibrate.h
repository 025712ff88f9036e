// Rounds a matrix with knowledge of what enters it, on all threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/thread_pool.h"
#include "core/types.h"
#include "kernels/layouts/scale_groups.h"

namespace ggmlkit {

bool can_calibrate(Type type);

// A matrix and the factors of its Hessian; see Calibration in kernels/kernel_table.h. `upper` and
// `hessian` are [cols][cols], in the order of work; they may be null.
struct CalibratedMatrix {
  const float* weights;  // [rows][cols], finite
  std::size_t rows;
  std::size_t cols;
  const std::uint32_t* order;
  const float* diagonal;
  const float* upper;
  const float* hessian;
  int passes;
};

// Returns -1, or the index of the first weight that its block can't hold.
std::ptrdiff_t calibrate(Type type, const CalibratedMatrix& matrix, std::byte* dst,
                         ThreadPool& pool, int threads = 0);

}  // namespace ggmlkit
