// Products with float weights, used where they lie.
#include "kernels/neon/neon.h"
#include "kernels/neon/vector.h"

namespace ggmlkit::neon {
namespace {

using Load4 = float32x4_t (*)(const std::byte*);

float32x4_t load_float4(const std::byte* p) { return vreinterpretq_f32_u8(load16(p)); }

uint8x8_t load8(const std::byte* p) { return vld1_u8(reinterpret_cast<const std::uint8_t*>(p)); }

float32x4_t load_half4(const std::byte* p) { return vcvt_f32_f16(vreinterpret_f16_u8(load8(p))); }

float32x4_t load_bf16x4(const std::byte* p) {
  return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(load8(p)), 16));
}

template <Load4 load4, std::size_t bytes>
float load_one(const std::byte* p) {
  std::byte padded[16] = {};
  std::memcpy(padded, p, bytes);
  return vgetq_lane_f32(load4(padded), 0);
}

// R weight rows × T tokens in registers.
template <Load4 load4, std::size_t bytes, int R, int T>
void float_products(const std::byte* w, std::size_t cols, const float* x, float* y,
                    std::size_t ldy) {
  float32x4_t acc[R][T];
  for (int r = 0; r < R; ++r) {
    for (int t = 0; t < T; ++t) acc[r][t] = vdupq_n_f32(0.0f);
  }
  std::size_t c = 0;
  for (; c + 4 <= cols; c += 4) {
    float32x4_t a[T];
    for (int t = 0; t < T; ++t) a[t] = vld1q_f32(x + t * cols + c);
    for (int r = 0; r < R; ++r) {
      const float32x4_t v = load4(w + (r * cols + c) * bytes);
      for (int t = 0; t < T; ++t) acc[r][t] = vfmaq_f32(acc[r][t], v, a[t]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int t = 0; t < T; ++t) {
      float total = vaddvq_f32(acc[r][t]);
      for (std::size_t i = c; i < cols; ++i) {
        total += load_one<load4, bytes>(w + (r * cols + i) * bytes) * x[t * cols + i];
      }
      y[t * ldy + r] = total;
    }
  }
}

template <Load4 load4, std::size_t bytes, int R>
void float_rows(const std::byte* w, std::size_t cols, const float* x, std::size_t tokens, float* y,
                std::size_t ldy) {
  std::size_t t = 0;
  for (; t + 4 <= tokens; t += 4) {
    float_products<load4, bytes, R, 4>(w, cols, x + t * cols, y + t * ldy, ldy);
  }
  for (; t < tokens; ++t) {
    float_products<load4, bytes, R, 1>(w, cols, x + t * cols, y + t * ldy, ldy);
  }
}

template <Load4 load4, std::size_t bytes>
void matmul_float(const std::byte* w, std::size_t rows, std::size_t cols, const float* x,
                  std::size_t tokens, float* y, std::size_t ldy) {
  std::size_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    float_rows<load4, bytes, 4>(w + r * cols * bytes, cols, x, tokens, y + r, ldy);
  }
  for (; r < rows; ++r) {
    float_rows<load4, bytes, 1>(w + r * cols * bytes, cols, x, tokens, y + r, ldy);
  }
}

}  // namespace

void fill_float_matmul(KernelTable& table) {
  table.matmul_f32 = matmul_float<load_float4, 4>;
  table.matmul_f16 = matmul_float<load_half4, 2>;
  table.matmul_bf16 = matmul_float<load_bf16x4, 2>;
}

}  // namespace ggmlkit::neon
