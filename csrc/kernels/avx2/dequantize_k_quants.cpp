// q2_K to q6_K to float32.
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/planes.h"
#include "kernels/avx2/stores.h"
#include "kernels/layouts/k_blocks.h"

namespace ggmlkit::avx2 {
namespace {

template <int Bits>
__m256i with_high(__m256i low, __m256i high) {
  return _mm256_or_si256(low, _mm256_slli_epi16(high, Bits));
}

// Elements 32·k to 32·k + 31 of a block as bytes, the offset not yet taken off.
__m256i levels(const Q2K& b, int k) { return plane<2, 32>(b.quants, k); }
__m256i levels(const Q3K& b, int k) {
  return with_high<2>(plane<2, 32>(b.quants, k), plane<1, 32>(b.high, k));
}
__m256i levels(const Q4K& b, int k) { return plane<4, 32>(b.quants, k); }
__m256i levels(const Q5K& b, int k) {
  return with_high<4>(plane<4, 32>(b.quants, k), plane<1, 32>(b.high, k));
}
__m256i levels(const Q6K& b, int k) {
  return with_high<4>(plane<4, 64>(b.quants, k), plane<2, 32>(b.high, k));
}

template <class B>
void unpack_scales(const B& b, GroupScales<kGroups<B>>& s) {
  b.unpack_scales(s);
}

// Eight scales and minima at once, four bytes a word.
void unpack_six_bits(const SixBitPairs& pairs, float d, float dmin, GroupScales<8>& s) {
  const auto firsts = load_at<std::uint32_t>(pairs.bytes);
  const auto min_firsts = load_at<std::uint32_t>(pairs.bytes, 1);
  const auto lows = load_at<std::uint32_t>(pairs.bytes, 2);
  const auto word = [](std::uint32_t w) { return static_cast<int>(w); };
  const __m128i numbers = _mm_setr_epi32(
      word(firsts & 0x3f3f3f3fu), word((lows & 0x0f0f0f0fu) | (firsts >> 2 & 0x30303030u)),
      word(min_firsts & 0x3f3f3f3fu),
      word((lows >> 4 & 0x0f0f0f0fu) | (min_firsts >> 2 & 0x30303030u)));
  const auto times = [](float scale, __m128i eight) {
    return _mm256_mul_ps(_mm256_set1_ps(scale), _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(eight)));
  };
  _mm256_storeu_ps(s.scale, times(d, numbers));
  _mm256_storeu_ps(s.min, times(dmin, _mm_srli_si128(numbers, 8)));
}

void unpack_scales(const Q4K& b, GroupScales<8>& s) {
  unpack_six_bits(b.scales, half_at(b.d), half_at(b.dmin), s);
}
void unpack_scales(const Q5K& b, GroupScales<8>& s) {
  unpack_six_bits(b.scales, half_at(b.d), half_at(b.dmin), s);
}

template <class B, class Store>
void dequantize_blocks(const std::byte* src, float* dst, std::size_t n) {
  const __m256i offset = _mm256_set1_epi8(B::offset);
  for (std::size_t b = 0; b < n / kSuper; ++b) {
    const B& block = block_at<B>(src, b);
    GroupScales<kGroups<B>> s;
    unpack_scales(block, s);
    for (int k = 0; k < kSuper / 32; ++k, dst += 32) {
      const __m256i q = _mm256_sub_epi8(levels(block, k), offset);
      const auto put = [&](int at, __m128i eight) {
        const int g = (32 * k + at) / B::group;
        const __m256 d = _mm256_set1_ps(s.scale[g]);
        __m256 v = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight)));
        if constexpr (B::has_min) v = _mm256_sub_ps(v, _mm256_set1_ps(s.min[g]));
        Store::store(dst + at, v);
      };
      const __m128i low = _mm256_castsi256_si128(q);
      const __m128i high = _mm256_extracti128_si256(q, 1);
      put(0, low);
      put(8, _mm_srli_si128(low, 8));
      put(16, high);
      put(24, _mm_srli_si128(high, 8));
    }
  }
}

template <class B>
void set(KernelTable& table, Type type) {
  table.types[static_cast<std::size_t>(type)].dequantize =
      by_size<dequantize_blocks<B, Cached>, dequantize_blocks<B, Streamed>>;
}

}  // namespace

void fill_dequantize_k_quants(KernelTable& table) {
  set<Q2K>(table, Type::q2_K);
  set<Q3K>(table, Type::q3_K);
  set<Q4K>(table, Type::q4_K);
  set<Q5K>(table, Type::q5_K);
  set<Q6K>(table, Type::q6_K);
}

}  // namespace ggmlkit::avx2
