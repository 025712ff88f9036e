// 256-bit vectors for kernels/generic/tile_weights.h and tile_ranges.h: a tile has eight rows, a
// 32-bit lane each.
#pragma once

#include "kernels/layouts/bytes.h"
#include "kernels/layouts/packed_tiles.h"
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
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static void store(std::byte* p, Int v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
  static Int broadcast8(int x) { return _mm256_set1_epi8(static_cast<char>(x)); }
  static Int broadcast16(int x) { return _mm256_set1_epi16(static_cast<short>(x)); }
  static Int broadcast32(std::int32_t x) { return _mm256_set1_epi32(x); }
  static Int exclusive_or(Int a, Int b) { return _mm256_xor_si256(a, b); }
  static Int both(Int a, Int b) { return _mm256_and_si256(a, b); }
  static Int or_both(Int q, Int a, Int b) { return _mm256_or_si256(q, both(a, b)); }
  static Int add16(Int a, Int b) { return _mm256_add_epi16(a, b); }
  static Int subtract16(Int a, Int b) { return _mm256_sub_epi16(a, b); }
  static Int half16(Int a) { return _mm256_srai_epi16(a, 1); }
  static Int add32(Int a, Int b) { return _mm256_add_epi32(a, b); }
  static Int maddubs(Int w, Int a) { return _mm256_maddubs_epi16(w, a); }
  static Int madd(Int a, Int b) { return _mm256_madd_epi16(a, b); }
  static Int absolute8(Int w) { return _mm256_abs_epi8(w); }
  static Int with_sign_of(Int w, Int a) { return _mm256_sign_epi8(a, w); }

  // 16-bit lanes by so many bits to the left.
  template <int bits>
  static Int moved(Int v) {
    if constexpr (bits > 0) return _mm256_slli_epi16(v, bits);
    if constexpr (bits < 0) return _mm256_srli_epi16(v, -bits);
    return v;
  }
  // values[i] for each byte i < 16.
  static Int lookup(const std::int8_t* values, Int i) {
    const __m128i table = _mm_load_si128(reinterpret_cast<const __m128i*>(values));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), i);
  }

  static Float zeros() { return _mm256_setzero_ps(); }
  static Float broadcast(float x) { return _mm256_set1_ps(x); }
  static Float to_float(Int x) { return _mm256_cvtepi32_ps(x); }
  static Float load_halves(const std::byte* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Float load_bf16(const std::byte* p) {
    const __m128i upper = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(upper), 16));
  }
  // A byte a row: signed, or two numbers of four bits.
  static Float load_bytes(const std::byte* p) { return to_float(_mm256_cvtepi8_epi32(eight(p))); }
  static Float load_low_nibbles(const std::byte* p) {
    return to_float(both(_mm256_cvtepu8_epi32(eight(p)), broadcast32(15)));
  }
  static Float load_high_nibbles(const std::byte* p) {
    return to_float(_mm256_srli_epi32(_mm256_cvtepu8_epi32(eight(p)), 4));
  }
  // A signed byte a row, in both 16-bit halves of its lane.
  static Int load_byte_pairs(const std::byte* p) {
    const __m256i upper = _mm256_setr_epi8(-1, 0, -1, 0, -1, 1, -1, 1, -1, 2, -1, 2, -1, 3, -1, 3,
                                           -1, 4, -1, 4, -1, 5, -1, 5, -1, 6, -1, 6, -1, 7, -1, 7);
    const __m256i bytes = _mm256_set1_epi64x(load_at<std::int64_t>(p));
    return _mm256_srai_epi16(_mm256_shuffle_epi8(bytes, upper), 8);
  }
  static Float multiply(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float multiply_add(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  // The first n floats of a vector; all if it has no more.
  static Float load(const float* p, std::size_t n) {
    return n >= rows ? _mm256_loadu_ps(p) : load_some(p, n);
  }
  static void store(float* p, Float v, std::size_t n) {
    if (n >= rows) return _mm256_storeu_ps(p, v);
    store_some(p, v, n);
  }

  // Holds a sum in its register: the compiler would rather compute all products first, add them as
  // a tree, and spill them meanwhile.
  static void hold(Int& x) { asm("" : "+x"(x)); }

 private:
  // Apart, or every product would have its own copy of these.
  [[gnu::noinline]] static Float load_some(const float* p, std::size_t n) {
    float lanes[rows] = {};
    std::memcpy(lanes, p, n * sizeof(float));
    return _mm256_loadu_ps(lanes);
  }
  [[gnu::noinline]] static void store_some(float* p, Float v, std::size_t n) {
    float lanes[rows];
    _mm256_storeu_ps(lanes, v);
    std::memcpy(p, lanes, n * sizeof(float));
  }
  static __m128i eight(const std::byte* p) {
    return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  }
};

}  // namespace
}  // namespace ggmlkit
