// Blocks to float32.
#include "kernels/avx512/avx512.h"
#include "kernels/avx512/vector.h"

namespace ggmlkit::avx512 {
namespace {

// The stored integers as 32 bytes, the offset taken off.
template <class S>
__m256i unpack_bytes(const std::byte* src) {
  if constexpr (S::bits == 8) {
    return load32(src + S::quants_at);
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

__m512 half_broadcast(const std::byte* p) {
  std::uint16_t h;
  std::memcpy(&h, p, 2);
  return _mm512_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(h)));
}

template <class S>
void dequantize_blocks(const std::byte* src, float* dst, std::size_t n) {
  for (std::size_t i = 0; i < n; i += S::size, src += S::bytes, dst += S::size) {
    const __m512 d = half_broadcast(src);
    const __m256i q = unpack_bytes<S>(src);
    const __m128i part[2] = {_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1)};
    for (int k = 0; k < 2; ++k) {
      __m512 v = _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(part[k])));
      if constexpr (S::has_min) v = _mm512_add_ps(v, half_broadcast(src + S::scale_bytes));
      _mm512_storeu_ps(dst + 16 * k, v);
    }
  }
}

using Load16 = __m512 (*)(const std::byte*);

template <Load16 load16>
void dequantize_16_bits(const std::byte* src, float* dst, std::size_t n) {
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) _mm512_storeu_ps(dst + i, load16(src + 2 * i));
  if (i < n) {
    std::byte rest[32] = {};
    std::memcpy(rest, src + 2 * i, 2 * (n - i));
    _mm512_mask_storeu_ps(dst + i, static_cast<__mmask16>((1u << (n - i)) - 1u), load16(rest));
  }
}

template <class S>
void set(KernelTable& table, Type type) {
  table.types[static_cast<std::size_t>(type)].dequantize = dequantize_blocks<S>;
}

}  // namespace

void fill_dequantize(KernelTable& table) {
  table.types[static_cast<std::size_t>(Type::f16)].dequantize = dequantize_16_bits<load_half16>;
  table.types[static_cast<std::size_t>(Type::bf16)].dequantize = dequantize_16_bits<load_bf16x16>;
  set<Q4_0>(table, Type::q4_0);
  set<Q4_1>(table, Type::q4_1);
  set<Q5_0>(table, Type::q5_0);
  set<Q5_1>(table, Type::q5_1);
  set<Q8_0>(table, Type::q8_0);
}

}  // namespace ggmlkit::avx512
