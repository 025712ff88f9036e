// 512-bit vectors for kernels/generic/tile_weights.h and tile_ranges.h: a tile has sixteen rows, a
// 32-bit lane each.
#pragma once

#include "kernels/layouts/packed_tiles.h"
#include "kernels/simd.h"

namespace ggmlkit {
namespace {

struct Lanes512 {
  using Int = __m512i;
  using Float = __m512;
  static constexpr std::size_t rows = 16;
  static constexpr int registers = 32;

  static Int zero() { return _mm512_setzero_si512(); }
  static Int load(const std::byte* p) { return _mm512_loadu_si512(p); }
  static void store(std::byte* p, Int v) { _mm512_storeu_si512(p, v); }
  static Int broadcast8(int x) { return _mm512_set1_epi8(static_cast<char>(x)); }
  static Int broadcast16(int x) { return _mm512_set1_epi16(static_cast<short>(x)); }
  static Int broadcast32(std::int32_t x) { return _mm512_set1_epi32(x); }
  static Int exclusive_or(Int a, Int b) { return _mm512_xor_si512(a, b); }
  static Int both(Int a, Int b) { return _mm512_and_si512(a, b); }
  static Int or_both(Int q, Int a, Int b) {
    constexpr int kOrAnd = 0xf8;  // q | (a & b)
    return _mm512_ternarylogic_epi32(q, a, b, kOrAnd);
  }
  static Int add16(Int a, Int b) { return _mm512_add_epi16(a, b); }
  static Int subtract16(Int a, Int b) { return _mm512_sub_epi16(a, b); }
  static Int half16(Int a) { return _mm512_srai_epi16(a, 1); }
  static Int add32(Int a, Int b) { return _mm512_add_epi32(a, b); }
  static Int maddubs(Int w, Int a) { return _mm512_maddubs_epi16(w, a); }
  static Int madd(Int a, Int b) { return _mm512_madd_epi16(a, b); }
  static Int absolute8(Int w) { return _mm512_abs_epi8(w); }
  static Int with_sign_of(Int w, Int a) {
    return _mm512_mask_sub_epi8(a, _mm512_movepi8_mask(w), zero(), a);
  }

  // 16-bit lanes by so many bits to the left.
  template <int bits>
  static Int moved(Int v) {
    if constexpr (bits > 0) return _mm512_slli_epi16(v, bits);
    if constexpr (bits < 0) return _mm512_srli_epi16(v, -bits);
    return v;
  }
  // values[i] for each byte i < 16.
  static Int lookup(const std::int8_t* values, Int i) {
    const __m128i table = _mm_load_si128(reinterpret_cast<const __m128i*>(values));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), i);
  }

  static Float zeros() { return _mm512_setzero_ps(); }
  static Float broadcast(float x) { return _mm512_set1_ps(x); }
  static Float to_float(Int x) { return _mm512_cvtepi32_ps(x); }
  static Float load_halves(const std::byte* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Float load_bf16(const std::byte* p) {
    const __m256i upper = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(upper), 16));
  }
  // A byte a row: signed, or two numbers of four bits.
  static Float load_bytes(const std::byte* p) { return to_float(_mm512_cvtepi8_epi32(sixteen(p))); }
  static Float load_low_nibbles(const std::byte* p) {
    return to_float(both(_mm512_cvtepu8_epi32(sixteen(p)), broadcast32(15)));
  }
  static Float load_high_nibbles(const std::byte* p) {
    return to_float(_mm512_srli_epi32(_mm512_cvtepu8_epi32(sixteen(p)), 4));
  }
  static Float multiply(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float multiply_add(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  // The first n floats of a vector; all if it has no more.
  static Float load(const float* p, std::size_t n) {
    return n >= rows ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(first(n), p);
  }
  static void store(float* p, Float v, std::size_t n) {
    if (n >= rows) return _mm512_storeu_ps(p, v);
    _mm512_mask_storeu_ps(p, first(n), v);
  }

  // Holds a sum in its register: the compiler would rather compute all products first, add them as
  // a tree, and spill them meanwhile.
  static void hold([[maybe_unused]] Int& x) {
#if !defined(GGMLKIT_SIMDE)
    asm("" : "+v"(x));
#endif
  }

 private:
  static __mmask16 first(std::size_t n) { return static_cast<__mmask16>((1u << n) - 1u); }
  static __m128i sixteen(const std::byte* p) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  }
};

}  // namespace
}  // namespace ggmlkit
