// Keys and values quantized into their groups, the same bits as scalar's.
#include <algorithm>

#include "kernels/avx2/avx2.h"
#include "kernels/avx2/vector.h"
#include "kernels/layouts/kv_group.h"

namespace ggmlkit::avx2 {
namespace {

// Up to 32 elements, and zeros.
Floats load_up_to_32(const float* x, std::size_t n) {
  if (n >= kBlock) return load_block(x);
  float padded[kBlock] = {};
  std::memcpy(padded, x, n * sizeof(float));
  return load_block(padded);
}

void to_half(const Floats& x, std::uint16_t* out) {
  for (int i = 0; i < 4; ++i) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 8 * i),
                     _mm256_cvtps_ph(x.v[i], _MM_FROUND_TO_NEAREST_INT));
  }
}

void store_key_f16(const float* k, std::size_t d, std::size_t p, std::byte* group) {
  std::uint16_t half[kBlock];
  for (std::size_t j = 0; j < d; j += kBlock) {
    const std::size_t count = std::min(kBlock, d - j);
    to_half(load_up_to_32(k + j, count), half);
    for (std::size_t i = 0; i < count; ++i) store_u16(group + 2 * key_at(p, j + i), half[i]);
  }
}

void store_value_f16(const float* v, std::size_t d, std::size_t p, std::byte* group) {
  std::uint16_t half[kBlock];
  for (std::size_t j = 0; j < d; j += kBlock) {
    const std::size_t count = std::min(kBlock, d - j);
    to_half(load_up_to_32(v + j, count), half);
    std::memcpy(group + 2 * value_at(p, j, d), half, 2 * count);
  }
}

// The scale in float16, and the levels.
std::uint16_t to_levels(const Floats& x, std::int8_t* out) {
  const float magnitude = horizontal_max(largest_magnitude(x));
  const auto half =
      static_cast<std::uint16_t>(_cvtss_sh(magnitude / 127.0f, _MM_FROUND_TO_NEAREST_INT));
  const float scale = _cvtsh_ss(half);
  const __m256 inverse = _mm256_set1_ps(scale > 0.0f ? 1.0f / scale : 0.0f);
  const __m256 most = _mm256_set1_ps(127.0f);
  const __m256 least = _mm256_set1_ps(-127.0f);
  const auto level = [=](__m256 v) {
    return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(_mm256_mul_ps(v, inverse), least), most));
  };
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out),
                      low_bytes(level(x.v[0]), level(x.v[1]), level(x.v[2]), level(x.v[3])));
  return half;
}

void store_key_q8(const float* k, std::size_t d, std::size_t p, std::byte* group) {
  std::int8_t levels[kBlock];
  for (std::size_t b = 0; b < kv_blocks(d); ++b) {
    const std::size_t j = b * kBlock;
    const std::size_t count = std::min(kBlock, d - j);
    store_u16(group + kv_scale_at(p, b, d), to_levels(load_up_to_32(k + j, count), levels));
    for (std::size_t i = 0; i < count; ++i) {
      group[key_at(p, j + i)] = static_cast<std::byte>(levels[i]);
    }
  }
}

void store_value_q8(const float* v, std::size_t d, std::size_t p, std::byte* group) {
  std::int8_t levels[kBlock];
  for (std::size_t b = 0; b < kv_blocks(d); ++b) {
    const std::size_t j = b * kBlock;
    const std::size_t count = std::min(kBlock, d - j);
    store_u16(group + kv_scale_at(p, b, d), to_levels(load_up_to_32(v + j, count), levels));
    std::memcpy(group + value_at(p, j, d), levels, count);
  }
}

}  // namespace

void fill_kv_store(KernelTable& table) {
  KvKernels& f16 = table.kv[static_cast<std::size_t>(KvType::f16)];
  f16.store_key = store_key_f16;
  f16.store_value = store_value_f16;
  KvKernels& q8 = table.kv[static_cast<std::size_t>(KvType::q8_0)];
  q8.store_key = store_key_q8;
  q8.store_value = store_value_q8;
}

}  // namespace ggmlkit::avx2
