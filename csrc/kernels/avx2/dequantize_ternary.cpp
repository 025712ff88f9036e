// tq1_0, tq2_0, q1_0 and q2_0 to float32.
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/planes.h"
#include "kernels/avx2/stores.h"
#include "kernels/layouts/ternary_blocks.h"

namespace ggmlkit::avx2 {
namespace {

// Eight elements from 0 to 3, each less one, times d.
template <class Store>
void put8(float* dst, __m256 d, __m256i levels) {
  const __m256i centred = _mm256_sub_epi32(levels, _mm256_set1_epi32(1));
  Store::store(dst, _mm256_mul_ps(d, _mm256_cvtepi32_ps(centred)));
}

template <class Store>
void put16(float* dst, __m256 d, __m256i levels16) {
  put8<Store>(dst, d, _mm256_cvtepu16_epi32(_mm256_castsi256_si128(levels16)));
  put8<Store>(dst + 8, d, _mm256_cvtepu16_epi32(_mm256_extracti128_si256(levels16, 1)));
}

__m256i load16_bytes(const std::uint8_t* p) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

// The next trit of each fraction, see Tq1_0; what is left takes the fraction's place.
__m256i next_trit(__m256i& fractions) {
  const __m256i tripled = _mm256_add_epi16(fractions, _mm256_add_epi16(fractions, fractions));
  fractions = _mm256_and_si256(tripled, _mm256_set1_epi16(255));
  return _mm256_srli_epi16(tripled, 8);
}

template <class Store>
struct Block {
  static float* put(const Tq1_0& b, __m256 d, float* dst) {
    __m256i first = load16_bytes(b.quants);
    __m256i second = load16_bytes(b.quants + 16);
    for (int t = 0; t < 5; ++t, dst += 32) {
      put16<Store>(dst, d, next_trit(first));
      put16<Store>(dst + 16, d, next_trit(second));
    }
    __m256i third = load16_bytes(b.quants + 32);
    for (int t = 0; t < 5; ++t, dst += 16) put16<Store>(dst, d, next_trit(third));
    return put_last(b, d, dst);
  }

  // Four bytes of four trits: two trits of each fill a vector.
  static float* put_last(const Tq1_0& b, __m256 d, float* dst) {
    std::uint8_t bytes[16] = {};
    std::memcpy(bytes, b.high, sizeof b.high);
    __m256i fractions = load16_bytes(bytes);
    for (int t = 0; t < 2; ++t, dst += 8) {
      const __m128i one = _mm256_castsi256_si128(next_trit(fractions));
      const __m128i two = _mm256_castsi256_si128(next_trit(fractions));
      put8<Store>(dst, d, _mm256_cvtepu16_epi32(_mm_unpacklo_epi64(one, two)));
    }
    return dst;
  }

  static float* put(const Tq2_0& b, __m256 d, float* dst) {
    for (int k = 0; k < Tq2_0::size / 32; ++k, dst += 32) {
      const __m256i q = plane<2, 32>(b.quants, k);
      put16<Store>(dst, d, _mm256_cvtepu8_epi16(_mm256_castsi256_si128(q)));
      put16<Store>(dst + 16, d, _mm256_cvtepu8_epi16(_mm256_extracti128_si256(q, 1)));
    }
    return dst;
  }

  static float* put(const Q1_0& b, __m256 d, float* dst) {
    const __m256i to_top = _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24);
    const __m256 top = _mm256_set1_ps(-0.0f);
    for (const std::uint8_t signs : b.signs) {
      const __m256 bits = _mm256_castsi256_ps(_mm256_sllv_epi32(_mm256_set1_epi32(signs), to_top));
      const __m256 one = _mm256_or_ps(_mm256_set1_ps(1.0f), _mm256_andnot_ps(bits, top));
      Store::store(dst, _mm256_mul_ps(d, one));
      dst += 8;
    }
    return dst;
  }

  static float* put(const Q2_0& b, __m256 d, float* dst) {
    const __m256i to_bottom = _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14);
    for (std::size_t i = 0; i < Q2_0::size / 8; ++i, dst += 8) {
      const __m256i eight = _mm256_set1_epi32(load_at<std::uint16_t>(b.quants, i));
      const __m256i levels = _mm256_srlv_epi32(eight, to_bottom);
      put8<Store>(dst, d, _mm256_and_si256(levels, _mm256_set1_epi32(3)));
    }
    return dst;
  }
};

template <class B, class Store>
void dequantize_blocks(const std::byte* src, float* dst, std::size_t n) {
  for (std::size_t i = 0; i < n / B::size; ++i) {
    const B& block = block_at<B>(src, i);
    dst = Block<Store>::put(block, _mm256_set1_ps(half_at(block.d)), dst);
  }
}

template <class B>
void set(KernelTable& table, Type type) {
  table.types[static_cast<std::size_t>(type)].dequantize =
      by_size<dequantize_blocks<B, Cached>, dequantize_blocks<B, Streamed>>;
}

}  // namespace

void fill_dequantize_ternary(KernelTable& table) {
  set<Tq1_0>(table, Type::tq1_0);
  set<Tq2_0>(table, Type::tq2_0);
  set<Q1_0>(table, Type::q1_0);
  set<Q2_0>(table, Type::q2_0);
}

}  // namespace ggmlkit::avx2
