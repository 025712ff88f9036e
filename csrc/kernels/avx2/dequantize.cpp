// Blocks to float32.
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/vector.h"

namespace ggmlkit::avx2 {
namespace {

// The stored integers as 32 bytes, the offset taken off.
template <class S>
__m256i unpack_bytes(const std::byte* src) {
  if constexpr (S::bits == 8) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(src + S::quants_at));
  } else {
    const __m128i packed = _mm_loadu_si128(reinterpret_cast<const __m128i*>(src + S::quants_at));
    const __m256i both = _mm256_set_m128i(_mm_srli_epi16(packed, 4), packed);
    __m256i q = _mm256_and_si256(both, _mm256_set1_epi8(15));
    if constexpr (S::bits == 5) {
      std::uint32_t high;
      std::memcpy(&high, src + S::high_at, 4);
      q = _mm256_or_si256(q, high_bits_to_bytes(high));
    }
    if constexpr (S::offset != 0) q = _mm256_sub_epi8(q, _mm256_set1_epi8(S::offset));
    return q;
  }
}

__m256 half_broadcast(const std::byte* p) {
  std::uint16_t h;
  std::memcpy(&h, p, 2);
  return _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(h)));
}

template <class S>
void dequantize_blocks(const std::byte* src, float* dst, std::size_t n) {
  for (std::size_t i = 0; i < n; i += S::size, src += S::bytes, dst += S::size) {
    const __m256 d = half_broadcast(src);
    const __m256i q = unpack_bytes<S>(src);
    const __m128i part[2] = {_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1)};
    for (int k = 0; k < 4; ++k) {
      const __m128i eight = k % 2 == 0 ? part[k / 2] : _mm_srli_si128(part[k / 2], 8);
      __m256 v = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight)));
      if constexpr (S::has_min) v = _mm256_add_ps(v, half_broadcast(src + S::scale_bytes));
      _mm256_storeu_ps(dst + 8 * k, v);
    }
  }
}

void dequantize_f16(const std::byte* src, float* dst, std::size_t n) {
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(dst + i, load_half8(src + 2 * i));
  for (; i < n; ++i) {
    std::uint16_t h;
    std::memcpy(&h, src + 2 * i, 2);
    dst[i] = half_to_float(h);
  }
}

void dequantize_bf16(const std::byte* src, float* dst, std::size_t n) {
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(dst + i, load_bf16x8(src + 2 * i));
  for (; i < n; ++i) {
    std::uint16_t h;
    std::memcpy(&h, src + 2 * i, 2);
    dst[i] = bf16_to_float(h);
  }
}

template <class S>
void set(KernelTable& table, Type type) {
  table.types[static_cast<std::size_t>(type)].dequantize = dequantize_blocks<S>;
}

}  // namespace

void fill_dequantize(KernelTable& table) {
  table.types[static_cast<std::size_t>(Type::f16)].dequantize = dequantize_f16;
  table.types[static_cast<std::size_t>(Type::bf16)].dequantize = dequantize_bf16;
  set<Q4_0>(table, Type::q4_0);
  set<Q4_1>(table, Type::q4_1);
  set<Q5_0>(table, Type::q5_0);
  set<Q5_1>(table, Type::q5_1);
  set<Q8_0>(table, Type::q8_0);
}

}  // namespace ggmlkit::avx2
