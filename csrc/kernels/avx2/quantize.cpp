// Float32 to blocks, bit-identical to scalar.
#include <limits>

#include "kernels/avx2/avx2.h"
#include "kernels/avx2/vector.h"

namespace ggmlkit::avx2 {
namespace {

std::size_t quantize_f16(const float* src, std::byte* dst, std::size_t n) {
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m128i h = _mm256_cvtps_ph(_mm256_loadu_ps(src + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + 2 * i), h);
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

// trunc((x - base) · inverse + shift), low byte, at most `levels`. Multiply and add stay apart:
// the reference rounds between them.
template <int levels>
__m256i rounded_levels(const Floats& x, float inverse, float shift) {
  const __m256 scale = _mm256_set1_ps(inverse);
  const __m256 add = _mm256_set1_ps(shift);
  const auto level = [&](__m256 v) {
    return _mm256_cvttps_epi32(_mm256_add_ps(_mm256_mul_ps(v, scale), add));
  };
  const __m256i q = low_bytes(level(x.v[0]), level(x.v[1]), level(x.v[2]), level(x.v[3]));
  return _mm256_min_epi8(q, _mm256_set1_epi8(levels));
}

template <class S>
void quantize_signed_block(const Floats& x, const float* src, std::byte* dst) {
  const float magnitude = horizontal_max(largest_magnitude(x));
  const __m256 wanted = _mm256_set1_ps(magnitude);
  const int at =
      first_where(x, [&](__m256 v) { return _mm256_cmp_ps(absolute(v), wanted, _CMP_EQ_OQ); });
  // A block of zeros has extreme +0 in the reference, whatever the zeros' signs.
  const float extreme = magnitude > 0.0f ? src[at] : 0.0f;
  const float d = extreme / -static_cast<float>(S::offset);
  store_half(dst, d);
  store_quants<S>(rounded_levels<S::levels>(x, inverse_of(d), static_cast<float>(S::offset) + 0.5f),
                  dst);
}

template <class S>
void quantize_ranged_block(const Floats& x, const float* src, std::byte* dst) {
  const __m256 low8 = _mm256_min_ps(_mm256_min_ps(x.v[0], x.v[1]), _mm256_min_ps(x.v[2], x.v[3]));
  const __m256 high8 = _mm256_max_ps(_mm256_max_ps(x.v[0], x.v[1]), _mm256_max_ps(x.v[2], x.v[3]));
  const auto first_equal = [&](float wanted) {
    const __m256 w = _mm256_set1_ps(wanted);
    return src[first_where(x, [&](__m256 v) { return _mm256_cmp_ps(v, w, _CMP_EQ_OQ); })];
  };
  const float low = first_equal(horizontal_min(low8));
  const float high = first_equal(horizontal_max(high8));
  const float d = (high - low) / static_cast<float>(S::levels);
  store_half(dst, d);
  store_half(dst + S::scale_bytes, low);
  const __m256 base = _mm256_set1_ps(low);
  const Floats from_low = {{_mm256_sub_ps(x.v[0], base), _mm256_sub_ps(x.v[1], base),
                            _mm256_sub_ps(x.v[2], base), _mm256_sub_ps(x.v[3], base)}};
  store_quants<S>(rounded_levels<S::levels>(from_low, inverse_of(d), 0.5f), dst);
}

// Halves away from zero, as C's round(): adds the largest float below one half, with x's sign, and
// truncates. One half itself would carry 0.49999997 up to 1; the sum of anything from n + 1/2 on
// rounds to n + 1 or more. Exact below 2^22; levels reach 127.
__m256i round_away(__m256 x) {
  const __m256 sign = _mm256_and_ps(x, _mm256_set1_ps(-0.0f));
  const __m256 almost_half = _mm256_or_ps(_mm256_set1_ps(0.49999997f), sign);
  return _mm256_cvttps_epi32(_mm256_add_ps(x, almost_half));
}

template <class S>
void quantize_byte_block(const Floats& x, std::byte* dst) {
  const float d = horizontal_max(largest_magnitude(x)) / 127.0f;
  store_half(dst, d);
  const __m256 scale = _mm256_set1_ps(inverse_of(d));
  const auto level = [&](__m256 v) { return round_away(_mm256_mul_ps(v, scale)); };
  store_quants<S>(low_bytes(level(x.v[0]), level(x.v[1]), level(x.v[2]), level(x.v[3])), dst);
}

template <class S>
std::size_t quantize_blocks(const float* src, std::byte* dst, std::size_t n) {
  static_assert(S::size == 32);
  for (std::size_t i = 0; i < n; i += S::size, dst += S::bytes) {
    const Floats x = load_block(src + i);
    if (!all_finite(x)) return i;
    if constexpr (S::bits == 8) {
      quantize_byte_block<S>(x, dst);
    } else if constexpr (S::has_min) {
      quantize_ranged_block<S>(x, src + i, dst);
    } else {
      quantize_signed_block<S>(x, src + i, dst);
    }
  }
  return n;
}

// One block's bytes into a panel: eight quads, `width` quads apart.
void store_quads(__m256i bytes, std::size_t width, std::int8_t* out) {
  if (width == 1) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), bytes);
    return;
  }
  std::int8_t quads[kBlock];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(quads), bytes);
  for (std::size_t k = 0; k < 8; ++k) std::memcpy(out + 4 * k * width, quads + 4 * k, 4);
}

void quantize_activations(const float* x, std::size_t blocks, const ActivationSlot& out) {
  const __m256i one8 = _mm256_set1_epi8(1);
  const __m256i one16 = _mm256_set1_epi16(1);
  for (std::size_t b = 0; b < blocks; ++b) {
    const Floats v = load_block(x + b * kBlock);
    const float magnitude = horizontal_max(largest_magnitude(v));
    float inverse = magnitude > 0.0f ? 127.0f / magnitude : 0.0f;
    // A subnormal magnitude makes the inverse overflow; such a block is zero for all purposes.
    if (!(inverse <= std::numeric_limits<float>::max())) inverse = 0.0f;
    const __m256 s = _mm256_set1_ps(inverse);
    const auto level = [&](__m256 f) { return _mm256_cvtps_epi32(_mm256_mul_ps(f, s)); };
    const __m256i bytes = low_bytes(level(v.v[0]), level(v.v[1]), level(v.v[2]), level(v.v[3]));
    store_quads(bytes, out.width, out.q + b * kBlock * out.width);
    const __m256i pairs = _mm256_maddubs_epi16(one8, bytes);
    const std::size_t at = b * out.width;
    out.scale[at] = magnitude / 127.0f;
    out.sum[at] = horizontal_sum(_mm256_madd_epi16(pairs, one16));
    out.start[at] = sum_of_int16_pairs(_mm256_mullo_epi16(pairs, _mm256_set1_epi16(-8)));
  }
}

template <class S>
void set(KernelTable& table, Type type) {
  table.types[static_cast<std::size_t>(type)].quantize = quantize_blocks<S>;
}

}  // namespace

void fill_quantize(KernelTable& table) {
  table.types[static_cast<std::size_t>(Type::f16)].quantize = quantize_f16;
  set<Q4_0>(table, Type::q4_0);
  set<Q4_1>(table, Type::q4_1);
  set<Q5_0>(table, Type::q5_0);
  set<Q5_1>(table, Type::q5_1);
  set<Q8_0>(table, Type::q8_0);
  table.quantize_activations = quantize_activations;
}

}  // namespace ggmlkit::avx2
