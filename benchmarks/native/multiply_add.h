// Loops of multiply-adds from registers alone, one for each instruction sequence that the
// compiler's target has and the kernels use: of bytes, with AMX of bfloat16. What kernels could
// reach if nothing had to be loaded.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#if defined(__AMX_BF16__)
#include "../../csrc/kernels/amx/permission.h"
#include "../../csrc/kernels/amx/tiles.h"
#endif
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

struct MultiplyAdd {
  const char* name;
  int per_repeat;  // multiply-adds of one pass
  void (*run)(int64_t repeats);
  bool (*is_there)() = [] { return true; };
};

constexpr int64_t kRepeats = 20'000'000;
constexpr int kSums = 10;  // enough to hide an instruction's latency, few enough for registers

// Each pass must compute anew: the empty asm may have changed `value`, which stays in a register.
#if defined(__aarch64__)
#define GGMLKIT_OPAQUE(value) asm volatile("" : "+w"(value))
#else
#define GGMLKIT_OPAQUE(value) asm volatile("" : "+v"(value))
#endif

// `step(sum, a)` is one instruction sequence; the sums are independent.
template <class Sum, class Step>
inline void multiply_add(Sum a, int64_t repeats, Step step) {
  Sum sums[kSums];
#pragma GCC unroll 16
  for (int k = 0; k < kSums; ++k) sums[k] = a;
  for (int64_t i = 0; i < repeats; ++i)
#pragma GCC unroll 16
    for (int k = 0; k < kSums; ++k) {
      GGMLKIT_OPAQUE(a);
      sums[k] = step(sums[k], a);
    }
#pragma GCC unroll 16
  for (int k = 0; k < kSums; ++k) GGMLKIT_OPAQUE(sums[k]);
}

#if defined(__AMX_BF16__)
// Four products of 16 × 32 by 32 × 16 bfloat16 at a time.
inline void multiply_tiles(int64_t repeats) {
  ggmlkit::TileShapes shapes;
  for (int i = 0; i < 8; ++i) shapes.rows[i] = 16, shapes.row_bytes[i] = 64;
  ggmlkit::use_tiles(shapes);
  for (int64_t i = 0; i < repeats; ++i) {
    ggmlkit::tile_dot<0, 4, 6>();
    ggmlkit::tile_dot<1, 4, 7>();
    ggmlkit::tile_dot<2, 5, 6>();
    ggmlkit::tile_dot<3, 5, 7>();
  }
  ggmlkit::release_tiles();
}
#endif

inline const MultiplyAdd kMultiplyAdds[] = {
#if defined(__AVX2__)
    {"AVX2 maddubs, add 16 bits", 32 * kSums,
     [](int64_t n) {
       multiply_add(_mm256_set1_epi8(1), n, [](__m256i sum, __m256i a) {
         return _mm256_add_epi16(sum, _mm256_maddubs_epi16(a, a));
       });
     }},
#endif
#if defined(__AVXVNNI__)
    {"AVX-VNNI vpdpbusd", 32 * kSums,
     [](int64_t n) {
       multiply_add(_mm256_set1_epi8(1), n,
                    [](__m256i sum, __m256i a) { return _mm256_dpbusd_avx_epi32(sum, a, a); });
     }},
#endif
#if defined(__AVX512BW__)
    {"AVX-512 maddubs, add 16 bits", 64 * kSums,
     [](int64_t n) {
       multiply_add(_mm512_set1_epi8(1), n, [](__m512i sum, __m512i a) {
         return _mm512_add_epi16(sum, _mm512_maddubs_epi16(a, a));
       });
     }},
#endif
#if defined(__AVX512VNNI__)
    {"AVX-512 VNNI vpdpbusd", 64 * kSums,
     [](int64_t n) {
       multiply_add(_mm512_set1_epi8(1), n,
                    [](__m512i sum, __m512i a) { return _mm512_dpbusd_epi32(sum, a, a); });
     }},
#endif
#if defined(__AMX_BF16__)
    {"AMX tdpbf16ps, whole tiles", 4 * 16 * 16 * 32, multiply_tiles, ggmlkit::may_use_tiles},
#endif
#if defined(__ARM_FEATURE_DOTPROD)
    {"NEON sdot", 16 * kSums,
     [](int64_t n) {
       multiply_add(vdupq_n_s32(1), n, [](int32x4_t sum, int32x4_t a) {
         const int8x16_t bytes = vreinterpretq_s8_s32(a);
         return vdotq_s32(sum, bytes, bytes);
       });
     }},
#endif
#if !defined(__AVX2__) && !defined(__ARM_FEATURE_DOTPROD)
    {"plain C++", kSums,
     [](int64_t n) {
       int64_t sums[kSums] = {};
       int8_t a = 1;
       for (int64_t i = 0; i < n; ++i)
         for (auto& sum : sums) {
           asm volatile("" : "+r"(a));
           sum += a * a;
         }
       asm volatile("" : : "r"(&sums) : "memory");
     }},
#endif
};

#undef GGMLKIT_OPAQUE
