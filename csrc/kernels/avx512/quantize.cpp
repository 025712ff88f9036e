// Float32 to blocks, bit-identical to scalar.
#include "kernels/avx512/avx512.h"
#include "kernels/avx512/vector.h"

namespace ggmlkit::avx512 {
namespace {

std::size_t quantize_f16(const float* src, std::byte* dst, std::size_t n) {
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m256i h = _mm512_cvtps_ph(_mm512_loadu_ps(src + i), _MM_FROUND_TO_NEAREST_INT);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst + 2 * i), h);
  }
  for (; i < n; ++i) {
    const std::uint16_t h = float_to_half(src[i]);
    std::memcpy(dst + 2 * i, &h, 2);
  }
  return n;
}

template <class S>
void store_quants(__m256i q, std::byte* dst) {
  if constexpr (S::bits == 8) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst + S::quants_at), q);
  } else {
    if constexpr (S::bits == 5) {
      // Bit 4 of each byte moves to bit 7, where movemask looks.
      const int high = _mm256_movemask_epi8(_mm256_slli_epi16(q, 3));
      std::memcpy(dst + S::high_at, &high, 4);
      q = _mm256_and_si256(q, _mm256_set1_epi8(15));
    }
    const __m128i low = _mm256_castsi256_si128(q);
    const __m128i high = _mm256_extracti128_si256(q, 1);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + S::quants_at),
                     _mm_or_si128(low, _mm_slli_epi16(high, 4)));
  }
}

void store_half(std::byte* p, float value) {
  const auto h = static_cast<std::uint16_t>(_cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT));
  std::memcpy(p, &h, 2);
}

float inverse_of(float d) { return d != 0.0f ? 1.0f / d : 0.0f; }

// trunc(x · inverse + shift), low byte, at most `levels`. Multiply and add stay apart: the
// reference rounds between them.
template <int levels>
__m256i rounded_levels(const Floats& x, float inverse, float shift) {
  const __m512 scale = _mm512_set1_ps(inverse);
  const __m512 add = _mm512_set1_ps(shift);
  const auto level = [&](__m512 v) {
    return _mm512_cvttps_epi32(_mm512_add_ps(_mm512_mul_ps(v, scale), add));
  };
  return _mm256_min_epi8(low_bytes(level(x.low), level(x.high)), _mm256_set1_epi8(levels));
}

template <class S>
void quantize_signed_block(const Floats& x, const Floats& magnitudes, const float* src,
                           std::byte* dst) {
  const float magnitude = largest(magnitudes);
  // A block of zeros has extreme +0 in the reference, whatever the zeros' signs.
  const float extreme = magnitude > 0.0f ? src[first_equal(magnitudes, magnitude)] : 0.0f;
  const float d = extreme / -static_cast<float>(S::offset);
  store_half(dst, d);
  store_quants<S>(rounded_levels<S::levels>(x, inverse_of(d), static_cast<float>(S::offset) + 0.5f),
                  dst);
}

template <class S>
void quantize_ranged_block(const Floats& x, const float* src, std::byte* dst) {
  const float low = src[first_equal(x, smallest(x))];
  const float high = src[first_equal(x, largest(x))];
  const float d = (high - low) / static_cast<float>(S::levels);
  store_half(dst, d);
  store_half(dst + S::scale_bytes, low);
  const __m512 base = _mm512_set1_ps(low);
  const Floats from_low = {_mm512_sub_ps(x.low, base), _mm512_sub_ps(x.high, base)};
  store_quants<S>(rounded_levels<S::levels>(from_low, inverse_of(d), 0.5f), dst);
}

// Halves away from zero, as C's round(): adds the largest float below one half, with x's sign, and
// truncates. One half itself would carry 0.49999997 up to 1; the sum of anything from n + 1/2 on
// rounds to n + 1 or more. Exact below 2^22; levels reach 127.
__m512i round_away(__m512 x) {
  const __m512i sign = _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(INT32_MIN));
  const __m512i almost_half = _mm512_castps_si512(_mm512_set1_ps(0.49999997f));
  return _mm512_cvttps_epi32(
      _mm512_add_ps(x, _mm512_castsi512_ps(_mm512_or_si512(almost_half, sign))));
}

template <class S>
void quantize_byte_block(const Floats& x, const Floats& magnitudes, std::byte* dst) {
  const float d = largest(magnitudes) / 127.0f;
  store_half(dst, d);
  const __m512 scale = _mm512_set1_ps(inverse_of(d));
  const auto level = [&](__m512 v) { return round_away(_mm512_mul_ps(v, scale)); };
  store_quants<S>(low_bytes(level(x.low), level(x.high)), dst);
}

template <class S>
std::size_t quantize_blocks(const float* src, std::byte* dst, std::size_t n) {
  static_assert(S::size == 32);
  for (std::size_t i = 0; i < n; i += S::size, dst += S::bytes) {
    const Floats x = load_block(src + i);
    const Floats magnitudes = absolute(x);
    if (!all_finite(magnitudes)) return i;
    if constexpr (S::bits == 8) {
      quantize_byte_block<S>(x, magnitudes, dst);
    } else if constexpr (S::has_min) {
      quantize_ranged_block<S>(x, src + i, dst);
    } else {
      quantize_signed_block<S>(x, magnitudes, src + i, dst);
    }
  }
  return n;
}

template <class S>
void set(KernelTable& table, Type type) {
  table.types[static_cast<std::size_t>(type)].quantize = quantize_blocks<S>;
}

}  // namespace

// Activations are rounded as AVX2 does: a block is two registers here and four there, and its sums
// cost the same.
void fill_quantize(KernelTable& table) {
  table.types[static_cast<std::size_t>(Type::f16)].quantize = quantize_f16;
  set<Q4_0>(table, Type::q4_0);
  set<Q4_1>(table, Type::q4_1);
  set<Q5_0>(table, Type::q5_0);
  set<Q5_1>(table, Type::q5_1);
  set<Q8_0>(table, Type::q8_0);
}

}  // namespace ggmlkit::avx512
