#include "quant/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <mutex>

#include "kernels/kernel_table.h"

namespace ggmlkit {
namespace {

// Below this many elements, waking threads costs more than it saves.
constexpr std::size_t kSerial = 1u << 15;

const TypeKernels& kernels(Type type) { return active().types[static_cast<std::size_t>(type)]; }

int useful_threads(std::size_t n, int threads) { return n < kSerial ? 1 : threads; }

// Elements between two types at a time: whole blocks of any type, and floats that stay in the
// first cache.
constexpr std::size_t kPart = 1024;

// n, or the index of the first value that is not finite.
std::size_t quantize_floats(Type type, const float* src, std::byte* dst, std::size_t n) {
  std::size_t i = kernels(type).quantize(src, dst, n);
  while (i < n && std::isfinite(src[i])) ++i;  // the kernel names some blocks; find the element
  return i;
}

void prefetch(const std::byte* p, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i);
}

std::size_t convert_range(Type from, const std::byte* src, Type to, std::byte* dst, std::size_t n) {
  if (from == Type::f32 && reinterpret_cast<std::uintptr_t>(src) % alignof(float) == 0) {
    return quantize_floats(to, reinterpret_cast<const float*>(src), dst, n);
  }
  alignas(64) float values[kPart];
  for (std::size_t i = 0; i < n; i += kPart) {
    const std::size_t part = std::min(kPart, n - i);
    const std::byte* p = src + row_bytes(from, i);
    prefetch(p + row_bytes(from, part), row_bytes(from, part));
    kernels(from).dequantize(p, values, part);
    const std::size_t end = quantize_floats(to, values, dst + row_bytes(to, i), part);
    if (end < part) return i + end;
  }
  return n;
}

}  // namespace

bool can_dequantize(Type type) { return kernels(type).dequantize != nullptr; }
bool can_quantize(Type type) { return kernels(type).quantize != nullptr; }

void dequantize_row(Type type, const std::byte* src, float* dst, std::size_t n) {
  kernels(type).dequantize(src, dst, n);
}

void dequantize(Type type, const std::byte* src, float* dst, std::size_t n, ThreadPool& pool,
                int threads) {
  pool.run(
      [&](int thread, int n_threads) {
        const Range r = split(n, thread, n_threads, 256);
        if (r.begin == r.end) return;
        kernels(type).dequantize(src + row_bytes(type, r.begin), dst + r.begin, r.end - r.begin);
      },
      useful_threads(n, threads));
}

std::ptrdiff_t convert(Type from, const std::byte* src, Type to, std::byte* dst, std::size_t n,
                       ThreadPool& pool, int threads) {
  std::mutex mutex;
  std::size_t first_bad = n;
  pool.run(
      [&](int thread, int n_threads) {
        const Range r = split(n, thread, n_threads, kPart);
        const std::byte* in = src + row_bytes(from, r.begin);
        std::byte* out = dst + row_bytes(to, r.begin);
        const std::size_t end = r.begin + convert_range(from, in, to, out, r.end - r.begin);
        if (end == r.end) return;
        std::lock_guard<std::mutex> lock(mutex);
        first_bad = std::min(first_bad, end);
      },
      useful_threads(n, threads));
  return first_bad == n ? -1 : static_cast<std::ptrdiff_t>(first_bad);
}

}  // namespace ggmlkit
