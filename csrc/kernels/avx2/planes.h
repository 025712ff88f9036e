// Small integers packed as kernels/layouts/planes.h says, 32 at a time.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace ggmlkit::avx2 {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

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

}  // namespace
}  // namespace ggmlkit::avx2
