#include "quant/calibrate.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "kernels/kernel_table.h"
#include "quant/stored_scales.h"

namespace ggmlkit {
namespace {

const TypeKernels& kernels(Type type) { return active().types[static_cast<std::size_t>(type)]; }

// The rows of each group's columns that lie above `end(g)`, panel after panel.
template <class End>
std::vector<float> panels(const float* matrix, std::size_t cols, std::size_t group, End end,
                          ThreadPool& pool, int threads) {
  if (matrix == nullptr) return {};
  const std::size_t count = cols / group;
  std::vector<std::size_t> begins(count + 1, 0);
  for (std::size_t g = 0; g < count; ++g) begins[g + 1] = begins[g] + end(g) * group;
  std::vector<float> found(begins[count]);
  std::atomic<std::size_t> next{0};
  pool.run(
      [&](int, int) {
        for (std::size_t g = next++; g < count; g = next++) {
          float* out = found.data() + begins[g];
          for (std::size_t k = 0; k < end(g); ++k, out += group) {
            const float* row = matrix + k * cols + g * group;
            std::copy(row, row + group, out);
          }
        }
      },
      threads);
  return found;
}

}  // namespace

bool can_calibrate(Type type) { return kernels(type).calibrate != nullptr; }

std::ptrdiff_t calibrate(Type type, const CalibratedMatrix& matrix, std::byte* dst,
                         ThreadPool& pool, int threads) {
  const std::size_t cols = matrix.cols;
  const std::size_t group = scale_group(type);
  const std::size_t bytes = row_bytes(type, cols);
  const std::size_t together = active().calibrated_rows;
  const std::vector<float> upper = panels(
      matrix.upper, cols, group, [&](std::size_t g) { return (g + 1) * group; }, pool, threads);
  const std::vector<float> hessian =
      panels(matrix.hessian, cols, group, [&](std::size_t) { return cols; }, pool, threads);
  const Calibration calibration{cols,
                                matrix.order,
                                matrix.diagonal,
                                upper.empty() ? nullptr : upper.data(),
                                hessian.data(),
                                hessian.empty() ? 0 : matrix.passes};
  const std::size_t steps = (matrix.rows + together - 1) / together;
  std::atomic<std::size_t> next{0};
  std::atomic<std::size_t> lost{matrix.rows * cols};
  pool.run(
      [&](int, int) {
        std::vector<float> scratch(3 * cols * together);
        for (std::size_t i = next++; i < steps; i = next++) {
          const std::size_t row = i * together;
          const std::size_t rows = std::min(together, matrix.rows - row);
          const float* weights = matrix.weights + row * cols;
          std::byte* out = dst + row * bytes;
          kernels(type).calibrate(calibration, weights, rows, out, bytes, scratch.data());
          const std::size_t n = rows * cols;
          const std::size_t found = row * cols + first_lost(type, weights, out, n, false);
          if (found == row * cols + n) continue;
          std::size_t known = lost.load();
          while (found < known && !lost.compare_exchange_weak(known, found)) continue;
        }
      },
      threads);
  const std::size_t first = lost.load();
  return first == matrix.rows * cols ? -1 : static_cast<std::ptrdiff_t>(first);
}

}  // namespace ggmlkit
