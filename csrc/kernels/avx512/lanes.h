// 512-bit vectors for kernels/tile_matmul.h: a tile has sixteen rows, a 32-bit lane each.
#pragma once

#include "kernels/packed.h"
#include "kernels/simd.h"

namespace ggmlkit {
namespace {

struct Lanes512 {
  using Int = __m512i;
  using Float = __m512;
  static constexpr std::size_t rows = 16;
  static constexpr int registers = 32;

  static Int zero() { return _mm512_setzero_si512(); }
  static Int load(const std::byte* p) { return _mm512_load_si512(p); }
  static Int broadcast8(int x) { return _mm512_set1_epi8(static_cast<char>(x)); }
  static Int broadcast16(int x) { return _mm512_set1_epi16(static_cast<short>(x)); }
  static Int broadcast32(std::int32_t x) { return _mm512_set1_epi32(x); }
  static Int exclusive_or(Int a, Int b) { return _mm512_xor_si512(a, b); }
  static Int add16(Int a, Int b) { return _mm512_add_epi16(a, b); }
  static Int add32(Int a, Int b) { return _mm512_add_epi32(a, b); }
  static Int maddubs(Int w, Int a) { return _mm512_maddubs_epi16(w, a); }
  static Int madd(Int a, Int b) { return _mm512_madd_epi16(a, b); }
  static Int absolute8(Int w) { return _mm512_abs_epi8(w); }
  static Int with_sign_of(Int w, Int a) {
    return _mm512_mask_sub_epi8(a, _mm512_movepi8_mask(w), zero(), a);
  }

  static Int low_nibbles(Int v) { return _mm512_and_si512(v, broadcast8(15)); }
  static Int high_nibbles(Int v) { return low_nibbles(_mm512_srli_epi16(v, 4)); }
  // q with the fifth bit of quad k, from the block's vector of them.
  template <int k>
  static Int with_fifth_bit(Int q, Int fifths) {
    const Int moved = k <= 4 ? _mm512_slli_epi16(fifths, k <= 4 ? 4 - k : 0)
                             : _mm512_srli_epi16(fifths, k > 4 ? k - 4 : 0);
    constexpr int kOrAnd = 0xf8;  // q | (moved & 0x10)
    return _mm512_ternarylogic_epi32(q, moved, broadcast8(0x10), kOrAnd);
  }

  static Float zeros() { return _mm512_setzero_ps(); }
  static Float broadcast(float x) { return _mm512_set1_ps(x); }
  static Float to_float(Int x) { return _mm512_cvtepi32_ps(x); }
  static Float load_halves(const std::byte* p) {
    return _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Float multiply(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float multiply_add(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static void store(float* p, Float v, std::size_t n) {
    if (n >= rows) return _mm512_storeu_ps(p, v);
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1u), v);
  }

  // Holds a sum in its register: the compiler would rather compute all products first, add them as
  // a tree, and spill them meanwhile.
  static void hold([[maybe_unused]] Int& x) {
#if !defined(GGMLKIT_SIMDE)
    asm("" : "+v"(x));
#endif
  }
};

}  // namespace
}  // namespace ggmlkit
