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

// A scale in float16, and multiples of it as bytes.
struct Levels {
  std::uint16_t scale;
  __m256i bytes;
};

Levels levels_of(const Floats& x, float exact_scale, float least, float most) {
  const auto half = static_cast<std::uint16_t>(_cvtss_sh(exact_scale, _MM_FROUND_TO_NEAREST_INT));
  const float scale = _cvtsh_ss(half);
  const __m256 inverse = _mm256_set1_ps(scale != 0.0f ? 1.0f / scale : 0.0f);
  const auto level = [=](__m256 v) {
    const __m256 low = _mm256_max_ps(_mm256_mul_ps(v, inverse), _mm256_set1_ps(least));
    return _mm256_cvtps_epi32(_mm256_min_ps(low, _mm256_set1_ps(most)));
  };
  return {half, low_bytes(level(x.v[0]), level(x.v[1]), level(x.v[2]), level(x.v[3]))};
}

Levels levels_q8(const float* x, std::size_t n) {
  const Floats block = load_up_to_32(x, n);
  return levels_of(block, horizontal_max(largest_magnitude(block)) / 127.0f, -127.0f, 127.0f);
}

// Of two operands one of which is NaN, these instructions give the second.
float most(const Floats& x) {
  __m256 found = _mm256_setzero_ps();
  for (const __m256 v : x.v) found = _mm256_max_ps(v, found);
  return horizontal_max(found);
}

Levels levels_q4(const float* x, std::size_t n) {
  const Floats block = load_up_to_32(x, n);
  Floats opposite;
  for (int i = 0; i < 4; ++i) opposite.v[i] = _mm256_xor_ps(block.v[i], _mm256_set1_ps(-0.0f));
  const float above = most(block);
  const float below = most(opposite);
  return levels_of(block, (above >= below ? above : -below) / -8.0f, -8.0f, 7.0f);
}

// Each block's scale to its place; then put(first element, number of elements, levels).
template <KvType type, class LevelsOf, class Put>
void store_blocks(const float* x, std::size_t d, std::size_t p, std::byte* group,
                  LevelsOf to_levels, Put put) {
  for (std::size_t b = 0; b < kv_blocks(d); ++b) {
    const std::size_t j = b * kBlock;
    const std::size_t count = std::min(kBlock, d - j);
    const Levels levels = to_levels(x + j, count);
    store_u16(group + kv_scale_at(type, p, b, d), levels.scale);
    put(j, count, levels.bytes);
  }
}

void store_key_q8(const float* k, std::size_t d, std::size_t p, std::byte* group) {
  const auto put = [=](std::size_t j, std::size_t count, __m256i levels) {
    std::byte bytes[kBlock];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(bytes), levels);
    for (std::size_t i = 0; i < count; ++i) group[key_at(p, j + i)] = bytes[i];
  };
  store_blocks<KvType::q8_0>(k, d, p, group, levels_q8, put);
}

void store_value_q8(const float* v, std::size_t d, std::size_t p, std::byte* group) {
  const auto put = [=](std::size_t j, std::size_t count, __m256i levels) {
    std::byte bytes[kBlock];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(bytes), levels);
    std::memcpy(group + value_at(p, j, d), bytes, count);
  };
  store_blocks<KvType::q8_0>(v, d, p, group, levels_q8, put);
}

void store_key_q4(const float* k, std::size_t d, std::size_t p, std::byte* group) {
  const auto put = [=](std::size_t j, std::size_t, __m256i levels) {
    // Each 16 bits: the lower half of the first byte, and the second byte above it.
    const __m256i lower = _mm256_and_si256(levels, _mm256_set1_epi16(15));
    const __m256i upper = _mm256_and_si256(_mm256_srli_epi16(levels, 4), _mm256_set1_epi16(0xf0));
    std::uint16_t two[kBlock / 2];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(two), _mm256_or_si256(lower, upper));
    for (std::size_t i = 0; i < kBlock; i += 2) {
      group[key_byte_at(p, j + i)] = static_cast<std::byte>(two[i / 2]);
    }
  };
  store_blocks<KvType::q4_0>(k, d, p, group, levels_q4, put);
}

void store_value_q4(const float* v, std::size_t d, std::size_t p, std::byte* group) {
  const auto put = [=](std::size_t j, std::size_t, __m256i levels) {
    const __m256i halves = _mm256_and_si256(levels, _mm256_set1_epi8(15));
    const __m128i lower = _mm256_castsi256_si128(halves);
    const __m128i upper = _mm_slli_epi16(_mm256_extracti128_si256(halves, 1), 4);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(group + value_byte_at(p, j, d)),
                     _mm_or_si128(lower, upper));
  };
  store_blocks<KvType::q4_0>(v, d, p, group, levels_q4, put);
}

}  // namespace

void fill_kv_store(KernelTable& table) {
  KvKernels& f16 = table.kv[static_cast<std::size_t>(KvType::f16)];
  f16.store_key = store_key_f16;
  f16.store_value = store_value_f16;
  KvKernels& q8 = table.kv[static_cast<std::size_t>(KvType::q8_0)];
  q8.store_key = store_key_q8;
  q8.store_value = store_value_q8;
  KvKernels& q4 = table.kv[static_cast<std::size_t>(KvType::q4_0)];
  q4.store_key = store_key_q4;
  q4.store_value = store_value_q4;
}

}  // namespace ggmlkit::avx2
