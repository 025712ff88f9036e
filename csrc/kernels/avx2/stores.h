// How long results leave the registers.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace ggmlkit::avx2 {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// Results at least this long outlast the caches: stored past them, their lines are not read first.
constexpr std::size_t kStreamed = (16u << 20) / sizeof(float);

struct Cached {
  static void store(float* p, __m256 v) { _mm256_storeu_ps(p, v); }
};

// 16 bytes at a time, the alignment that allocators give.
struct Streamed {
  static void store(float* p, __m256 v) {
    _mm_stream_ps(p, _mm256_castps256_ps128(v));
    _mm_stream_ps(p + 4, _mm256_extractf128_ps(v, 1));
  }
};

using Dequantize = void (*)(const std::byte* src, float* dst, std::size_t n);

template <Dequantize cached, Dequantize streamed>
void by_size(const std::byte* src, float* dst, std::size_t n) {
  if (n < kStreamed || reinterpret_cast<std::uintptr_t>(dst) % 16 != 0) return cached(src, dst, n);
  streamed(src, dst, n);
  _mm_sfence();
}

}  // namespace
}  // namespace ggmlkit::avx2
