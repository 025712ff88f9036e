// Products with float weights, used where they lie.
#include "kernels/avx512/avx512.h"
#include "kernels/layouts/blocks.h"
#include "kernels/simd.h"

namespace ggmlkit::avx512 {
namespace {

constexpr int kRows = 4;
constexpr int kTokens = 6;

__m256i load32(const std::byte* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

__m512 load_float16(const std::byte* p) { return _mm512_loadu_ps(p); }

__m512 load_half16(const std::byte* p) { return _mm512_cvtph_ps(load32(p)); }

__m512 load_bf16x16(const std::byte* p) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load32(p)), 16));
}

float horizontal_sum(__m512 v) {
  const __m256 upper = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1));
  const __m256 h = _mm256_add_ps(_mm512_castps512_ps256(v), upper);
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  s = _mm_add_ss(s, _mm_movehdup_ps(s));
  return _mm_cvtss_f32(s);
}

using Load16 = __m512 (*)(const std::byte*);

// The first n < 16 elements at p, and zeros.
template <Load16 load16, std::size_t bytes>
__m512 load_some(const std::byte* p, std::size_t n) {
  std::byte padded[16 * bytes] = {};
  std::memcpy(padded, p, n * bytes);
  return load16(padded);
}

// R weight rows × T tokens in registers.
template <Load16 load16, std::size_t bytes, int R, int T>
void float_products(const std::byte* w, std::size_t cols, const float* x, float* y,
                    std::size_t ldy) {
  __m512 acc[R][T];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) acc[r][t] = _mm512_setzero_ps();
  }
  const auto add = [&](auto weights, auto activations) {
    __m512 a[T];
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) a[t] = activations(t);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m512 v = weights(r);
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) acc[r][t] = _mm512_fmadd_ps(v, a[t], acc[r][t]);
    }
  };
  std::size_t c = 0;
  for (; c + 16 <= cols; c += 16) {
    add([&](int r) { return load16(w + (r * cols + c) * bytes); },
        [&](int t) { return _mm512_loadu_ps(x + t * cols + c); });
  }
  if (const std::size_t n = cols - c; n != 0) {
    const auto mask = static_cast<__mmask16>((1u << n) - 1u);
    add([&](int r) { return load_some<load16, bytes>(w + (r * cols + c) * bytes, n); },
        [&](int t) { return _mm512_maskz_loadu_ps(mask, x + t * cols + c); });
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) y[t * ldy + r] = horizontal_sum(acc[r][t]);
  }
}

template <Load16 load16, std::size_t bytes, int R, int T = kTokens>
void float_pass(std::size_t tokens, const std::byte* w, std::size_t cols, const float* x, float* y,
                std::size_t ldy) {
  if (tokens == T) return float_products<load16, bytes, R, T>(w, cols, x, y, ldy);
  if constexpr (T > 1) float_pass<load16, bytes, R, T - 1>(tokens, w, cols, x, y, ldy);
}

// Tokens are shared out evenly over the fewest passes.
template <Load16 load16, std::size_t bytes, int R>
void float_rows(const std::byte* w, std::size_t cols, const float* x, std::size_t tokens, float* y,
                std::size_t ldy) {
  std::size_t passes = (tokens + kTokens - 1) / kTokens;
  for (std::size_t t = 0; t < tokens; --passes) {
    const std::size_t n = (tokens - t + passes - 1) / passes;
    float_pass<load16, bytes, R>(n, w, cols, x + t * cols, y + t * ldy, ldy);
    t += n;
  }
}

template <Load16 load16, std::size_t bytes>
void matmul_float(const std::byte* w, std::size_t rows, std::size_t cols, const float* x,
                  std::size_t tokens, float* y, std::size_t ldy) {
  std::size_t r = 0;
  for (; r + kRows <= rows; r += kRows) {
    float_rows<load16, bytes, kRows>(w + r * cols * bytes, cols, x, tokens, y + r, ldy);
  }
  for (; r < rows; ++r) {
    float_rows<load16, bytes, 1>(w + r * cols * bytes, cols, x, tokens, y + r, ldy);
  }
}

}  // namespace

void fill_float_matmul(KernelTable& table) {
  table.matmul_f32 = matmul_float<load_float16, 4>;
  table.matmul_f16 = matmul_float<load_half16, 2>;
  table.matmul_bf16 = matmul_float<load_bf16x16, 2>;
}

}  // namespace ggmlkit::avx512
