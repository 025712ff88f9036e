// iq4_nl, iq4_xs, mxfp4 and nvfp4 to float32: a byte shuffle looks sixteen values up at once.
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/stores.h"
#include "kernels/layouts/codebooks.h"

namespace ggmlkit::avx2 {
namespace {

template <class Store>
void put8(float* dst, float scale, __m128i values) {
  const __m256 v = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(values));
  Store::store(dst, _mm256_mul_ps(_mm256_set1_ps(scale), v));
}

template <class B, class Store>
void dequantize_blocks(const std::byte* src, float* dst, std::size_t n) {
  const __m128i values = _mm_loadu_si128(reinterpret_cast<const __m128i*>(B::values));
  const __m128i nibble = _mm_set1_epi8(15);
  for (std::size_t b = 0; b < n / B::size; ++b) {
    const B& block = block_at<B>(src, b);
    float scale[B::size / B::group];
    block.unpack_scales(scale);
    for (int c = 0; c < B::size / 32; ++c, dst += 32) {
      const __m128i packed = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block.quants) + c);
      const __m128i low = _mm_shuffle_epi8(values, _mm_and_si128(packed, nibble));
      const __m128i high =
          _mm_shuffle_epi8(values, _mm_and_si128(_mm_srli_epi16(packed, 4), nibble));
      if constexpr (B::run == 16) {
        put8<Store>(dst, scale[c], low);
        put8<Store>(dst + 8, scale[c], _mm_srli_si128(low, 8));
        put8<Store>(dst + 16, scale[c], high);
        put8<Store>(dst + 24, scale[c], _mm_srli_si128(high, 8));
      } else {  // two groups of sixteen, eight bytes each
        put8<Store>(dst, scale[2 * c], low);
        put8<Store>(dst + 8, scale[2 * c], high);
        put8<Store>(dst + 16, scale[2 * c + 1], _mm_srli_si128(low, 8));
        put8<Store>(dst + 24, scale[2 * c + 1], _mm_srli_si128(high, 8));
      }
    }
  }
}

template <class B>
void set(KernelTable& table, Type type) {
  table.types[static_cast<std::size_t>(type)].dequantize =
      by_size<dequantize_blocks<B, Cached>, dequantize_blocks<B, Streamed>>;
}

}  // namespace

void fill_dequantize_codebooks(KernelTable& table) {
  set<Iq4Nl>(table, Type::iq4_nl);
  set<Iq4Xs>(table, Type::iq4_xs);
  set<Mxfp4>(table, Type::mxfp4);
  set<Nvfp4>(table, Type::nvfp4);
}

}  // namespace ggmlkit::avx2
