// q2_K to q6_K to float32.
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/stores.h"
#include "kernels/k_blocks.h"

namespace ggmlkit::avx2 {
namespace {

// The 32 elements from 32·k on of what planes.h packs, each in the low bits of its byte.
template <int Bits, int Run>
__m256i plane(const std::uint8_t* bytes, int k) {
  constexpr int vectors = Run / 32;  // of a run
  constexpr int sharing = 8 / Bits;
  const int run = k / vectors;
  const std::uint8_t* at = bytes + run / sharing * Run + k % vectors * 32;
  const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
  const __m128i shift = _mm_cvtsi32_si128(run % sharing * Bits);
  return _mm256_and_si256(_mm256_srl_epi16(v, shift), _mm256_set1_epi8((1 << Bits) - 1));
}

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

template <class B, class Store>
void dequantize_blocks(const std::byte* src, float* dst, std::size_t n) {
  const __m256i offset = _mm256_set1_epi8(B::offset);
  for (std::size_t b = 0; b < n / kSuper; ++b) {
    const B& block = block_at<B>(src, b);
    GroupScales<kGroups<B>> s;
    block.unpack_scales(s);
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
