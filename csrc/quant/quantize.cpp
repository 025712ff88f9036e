#include "quant/quantize.h"

#include <atomic>
#include <cmath>
#include <mutex>

#include "kernels/kernel_table.h"

namespace ggmlkit {
namespace {

// Below this many elements, waking threads costs more than it saves.
constexpr std::size_t kSerial = 1u << 15;

const TypeKernels& kernels(Type type) { return active().types[static_cast<std::size_t>(type)]; }

int useful_threads(std::size_t n, int threads) { return n < kSerial ? 1 : threads; }

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

std::ptrdiff_t quantize(Type type, const float* src, std::byte* dst, std::size_t n,
                        ThreadPool& pool, int threads) {
  std::mutex mutex;
  std::size_t first_bad = n;
  pool.run(
      [&](int thread, int n_threads) {
        const Range r = split(n, thread, n_threads, 256);
        if (r.begin == r.end) return;
        std::byte* out = dst + row_bytes(type, r.begin);
        std::size_t i = r.begin + kernels(type).quantize(src + r.begin, out, r.end - r.begin);
        if (i >= r.end) return;
        while (std::isfinite(src[i])) ++i;  // the kernel names the block; find the element
        std::lock_guard<std::mutex> lock(mutex);
        first_bad = std::min(first_bad, i);
      },
      useful_threads(n, threads));
  return first_bad == n ? -1 : static_cast<std::ptrdiff_t>(first_bad);
}

}  // namespace ggmlkit
