// Products with float weights, used where they lie.
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/vector.h"

namespace ggmlkit::avx2 {
namespace {

using Load8 = __m256 (*)(const std::byte*);

template <std::size_t bytes>
float load_one(const std::byte* p, Load8 load8) {
  std::byte padded[8 * 4] = {};
  std::memcpy(padded, p, bytes);
  return _mm256_cvtss_f32(load8(padded));
}

// R weight rows × T tokens in registers.
template <Load8 load8, std::size_t bytes, int R, int T>
void float_products(const std::byte* w, std::size_t cols, const float* x, float* y,
                    std::size_t ldy) {
  __m256 acc[R][T];
  for (int r = 0; r < R; ++r) {
    for (int t = 0; t < T; ++t) acc[r][t] = _mm256_setzero_ps();
  }
  std::size_t c = 0;
  for (; c + 8 <= cols; c += 8) {
    __m256 a[T];
    for (int t = 0; t < T; ++t) a[t] = _mm256_loadu_ps(x + t * cols + c);
    for (int r = 0; r < R; ++r) {
      const __m256 v = load8(w + (r * cols + c) * bytes);
      for (int t = 0; t < T; ++t) acc[r][t] = _mm256_fmadd_ps(v, a[t], acc[r][t]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int t = 0; t < T; ++t) {
      float total = horizontal_sum(acc[r][t]);
      for (std::size_t i = c; i < cols; ++i) {
        total += load_one<bytes>(w + (r * cols + i) * bytes, load8) * x[t * cols + i];
      }
      y[t * ldy + r] = total;
    }
  }
}

template <Load8 load8, std::size_t bytes, int R>
void float_rows(const std::byte* w, std::size_t cols, const float* x, std::size_t tokens, float* y,
                std::size_t ldy) {
  std::size_t t = 0;
  for (; t + 3 <= tokens; t += 3) {
    float_products<load8, bytes, R, 3>(w, cols, x + t * cols, y + t * ldy, ldy);
  }
  for (; t < tokens; ++t) {
    float_products<load8, bytes, R, 1>(w, cols, x + t * cols, y + t * ldy, ldy);
  }
}

template <Load8 load8, std::size_t bytes>
void matmul_float(const std::byte* w, std::size_t rows, std::size_t cols, const float* x,
                  std::size_t tokens, float* y, std::size_t ldy) {
  std::size_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    float_rows<load8, bytes, 4>(w + r * cols * bytes, cols, x, tokens, y + r, ldy);
  }
  for (; r < rows; ++r) {
    float_rows<load8, bytes, 1>(w + r * cols * bytes, cols, x, tokens, y + r, ldy);
  }
}

}  // namespace

void fill_float_matmul(KernelTable& table) {
  table.matmul_f32 = matmul_float<load_float8, 4>;
  table.matmul_f16 = matmul_float<load_half8, 2>;
  table.matmul_bf16 = matmul_float<load_bf16x8, 2>;
}

}  // namespace ggmlkit::avx2
