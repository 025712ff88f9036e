// 256-bit vectors for kernels/tile_matmul.h: a tile has eight rows, a 32-bit lane each.
#pragma once

#include "kernels/packed.h"
#include "kernels/simd.h"

namespace ggmlkit {
namespace {

struct Lanes256 {
  using Int = __m256i;
  using Float = __m256;
  static constexpr std::size_t rows = 8;
  static constexpr int registers = 16;

  static Int zero() { return _mm256_setzero_si256(); }
  static Int load(const std::byte* p) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(p));
  }
  static Int broadcast8(int x) { return _mm256_set1_epi8(static_cast<char>(x)); }
  static Int broadcast32(std::int32_t x) { return _mm256_set1_epi32(x); }
  static Int exclusive_or(Int a, Int b) { return _mm256_xor_si256(a, b); }

  static Int absolute8(Int w) { return _mm256_abs_epi8(w); }
  static Int with_sign_of(Int w, Int a) { return _mm256_sign_epi8(a, w); }

  static Int low_nibbles(Int v) { return _mm256_and_si256(v, broadcast8(15)); }
  static Int high_nibbles(Int v) { return low_nibbles(_mm256_srli_epi16(v, 4)); }
  // q with the fifth bit of quad k, from the block's vector of them.
  template <int k>
  static Int with_fifth_bit(Int q, Int fifths) {
    const Int moved = k <= 4 ? _mm256_slli_epi16(fifths, k <= 4 ? 4 - k : 0)
                             : _mm256_srli_epi16(fifths, k > 4 ? k - 4 : 0);
    return _mm256_or_si256(q, _mm256_and_si256(moved, broadcast8(0x10)));
  }

  static Float zeros() { return _mm256_setzero_ps(); }
  static Float broadcast(float x) { return _mm256_set1_ps(x); }
  static Float to_float(Int x) { return _mm256_cvtepi32_ps(x); }
  static Float load_halves(const std::byte* p) {
    return _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Float multiply(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float multiply_add(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  static void store(float* p, Float v, std::size_t n) {
    if (n >= rows) return _mm256_storeu_ps(p, v);
    float lanes[rows];
    _mm256_storeu_ps(lanes, v);
    std::memcpy(p, lanes, n * sizeof(float));
  }
};

}  // namespace
}  // namespace ggmlkit
