// Blocks to float32.
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/stores.h"
#include "kernels/avx2/vector.h"

namespace ggmlkit::avx2 {
namespace {

// The stored integers of a block of 32 as bytes, the offset taken off.
template <class S>
__m256i unpack_bytes(const std::byte* src) {
  const __m256i codes = block_codes<S>(src);
  if constexpr (S::offset == 0) return codes;
  return _mm256_sub_epi8(codes, _mm256_set1_epi8(S::offset));
}

// The same of a block of 16.
template <class S>
__m128i unpack_half(const std::byte* src) {
  static_assert(S::bits == 4 && S::order == Order::neighbours);
  const __m128i packed = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(src + S::quants_at));
  const __m128i high = _mm_srli_epi16(packed, 4);
  const __m128i q = _mm_and_si128(_mm_unpacklo_epi8(packed, high), _mm_set1_epi8(15));
  return _mm_sub_epi8(q, _mm_set1_epi8(S::offset));
}

template <class S>
__m256 broadcast_scale(const std::byte* p) {
  if constexpr (S::scale_bytes == 4) {
    return _mm256_broadcast_ss(reinterpret_cast<const float*>(p));
  } else {
    std::uint16_t h;
    std::memcpy(&h, p, 2);
    return _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(h)));
  }
}

template <class S, class Store>
void dequantize_blocks(const std::byte* src, float* dst, std::size_t n) {
  for (std::size_t i = 0; i < n; i += S::size, src += S::bytes, dst += S::size) {
    const __m256 d = broadcast_scale<S>(src);
    // Read before anything is stored, which the compiler can't know to be elsewhere.
    const __m256 m = S::has_min ? broadcast_scale<S>(src + S::scale_bytes) : _mm256_setzero_ps();
    const auto put = [&](float* to, __m128i eight) {
      __m256 v = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight)));
      if constexpr (S::has_min) v = _mm256_add_ps(v, m);
      Store::store(to, v);
    };
    const auto put16 = [&](float* to, __m128i q) {
      put(to, q);
      put(to + 8, _mm_srli_si128(q, 8));
    };
    if constexpr (S::size == 16) {
      put16(dst, unpack_half<S>(src));
    } else {
      const __m256i q = unpack_bytes<S>(src);
      put16(dst, _mm256_castsi256_si128(q));
      put16(dst + 16, _mm256_extracti128_si256(q, 1));
    }
  }
}

float half_value(std::uint16_t h) { return half_to_float(h); }
float bf16_value(std::uint16_t b) { return bf16_to_float(b); }

template <__m256 (*load8)(const std::byte*), float (*value)(std::uint16_t), class Store>
void dequantize_halves(const std::byte* src, float* dst, std::size_t n) {
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) Store::store(dst + i, load8(src + 2 * i));
  for (; i < n; ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, src + 2 * i, 2);
    dst[i] = value(bits);
  }
}

template <__m256 (*load8)(const std::byte*), float (*value)(std::uint16_t)>
constexpr Dequantize halves =
    by_size<dequantize_halves<load8, value, Cached>, dequantize_halves<load8, value, Streamed>>;

template <class S>
void set(KernelTable& table, Type type) {
  table.types[static_cast<std::size_t>(type)].dequantize =
      by_size<dequantize_blocks<S, Cached>, dequantize_blocks<S, Streamed>>;
}

}  // namespace

void fill_dequantize(KernelTable& table) {
  table.types[static_cast<std::size_t>(Type::f16)].dequantize = halves<load_half8, half_value>;
  table.types[static_cast<std::size_t>(Type::bf16)].dequantize = halves<load_bf16x8, bf16_value>;
  set<Q4_0>(table, Type::q4_0);
  set<Q4_1>(table, Type::q4_1);
  set<Q5_0>(table, Type::q5_0);
  set<Q5_1>(table, Type::q5_1);
  set<Q8_0>(table, Type::q8_0);
  set<Q4_0V2>(table, Type::q4_0_v2);
  set<Q4_1V2>(table, Type::q4_1_v2);
  set<Q8_0V2>(table, Type::q8_0_v2);
  set<Q4_0V1>(table, Type::q4_0_v1);
  set<Q4_1V1>(table, Type::q4_1_v1);
  set<Q5_0V1>(table, Type::q5_0_v1);
  set<Q5_1V1>(table, Type::q5_1_v1);
  set<Q4_2>(table, Type::q4_2);
  set<Q4_3>(table, Type::q4_3);
}

}  // namespace ggmlkit::avx2
