#include "quant/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <mutex>
#include <vector>

#include "kernels/kernel_table.h"
#include "quant/stored_scales.h"

namespace ggmlkit {
namespace {

// Below this many elements, waking threads costs more than it saves.
constexpr std::size_t kSerial = 1u << 15;

const TypeKernels& kernels(Type type) { return active().types[static_cast<std::size_t>(type)]; }

int useful_threads(std::size_t n, int threads) { return n < kSerial ? 1 : threads; }

// Elements converted between two types at a time: whole blocks of any type, as floats that stay in
// the first-level cache.
constexpr std::size_t kPart = 1024;

// Floats quantized at a time: their blocks are still in the first-level cache when they are
// checked.
constexpr std::size_t kChecked = 4096;

std::size_t first_not_finite(const float* src, std::size_t i, std::size_t n) {
  while (i < n && std::isfinite(src[i])) ++i;
  return i;
}

// The index of the first value with the greatest magnitude, which determines a block's scale.
std::size_t greatest_of(const float* src, std::size_t n) {
  const auto less = [](float a, float b) { return std::fabs(a) < std::fabs(b); };
  return static_cast<std::size_t>(std::max_element(src, src + n, less) - src);
}

// The index of the first of n floats that their blocks can't hold, or n.
std::size_t first_lost_value(Type type, const float* src, const std::byte* dst, std::size_t n,
                             bool weighted) {
  const std::size_t i = first_lost(type, src, dst, n, weighted);
  return i == n ? n : i + greatest_of(src + i, info(type).block_size);
}

// Quantizes n floats with the kernel quantize(src, dst, n). Returns the index of the first value
// that is not finite or that its block can't hold, or n.
template <class Kernel>
std::size_t checked(Type type, Kernel quantize, const float* src, std::byte* dst, std::size_t n,
                    bool weighted) {
  const std::size_t end = quantize(src, dst, n);
  if (end == n) return first_lost_value(type, src, dst, n, weighted);
  // A kernel returns one of the blocks with a value that is not finite. The blocks before it are
  // quantized too, so that the result doesn't depend on how many blocks a kernel processes
  // together.
  const std::size_t bad = first_not_finite(src, end, n);
  const std::size_t whole = bad / info(type).block_size * info(type).block_size;
  quantize(src, dst, whole);
  const std::size_t lost = first_lost_value(type, src, dst, whole, weighted);
  return lost == whole ? bad : lost;
}

std::size_t quantize_floats(Type type, const float* src, std::byte* dst, std::size_t n) {
  for (std::size_t i = 0; i < n; i += kChecked) {
    const std::size_t part = std::min(kChecked, n - i);
    std::byte* out = dst + row_bytes(type, i);
    const std::size_t end = checked(type, kernels(type).quantize, src + i, out, part, false);
    if (end < part) return i + end;
  }
  return n;
}

void prefetch(const std::byte* p, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i);
}

bool are_floats(Type type, const std::byte* p) {
  return type == Type::f32 && reinterpret_cast<std::uintptr_t>(p) % alignof(float) == 0;
}

// The smallest index that one of several threads reports.
class FirstBad {
 public:
  explicit FirstBad(std::size_t n) : n_(n), first_(n) {}
  void name(std::size_t index) {
    std::lock_guard<std::mutex> lock(mutex_);
    first_ = std::min(first_, index);
  }
  // -1 if none did.
  std::ptrdiff_t result() const { return first_ == n_ ? -1 : static_cast<std::ptrdiff_t>(first_); }

 private:
  std::mutex mutex_;
  std::size_t n_;
  std::size_t first_;
};

std::size_t convert_range(Type from, const std::byte* src, Type to, std::byte* dst, std::size_t n) {
  if (are_floats(from, src)) {
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
bool takes_importance(Type type) { return kernels(type).quantize_weighted != nullptr; }

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
  FirstBad bad(n);
  pool.run(
      [&](int thread, int n_threads) {
        const Range r = split(n, thread, n_threads, kPart);
        const std::byte* in = src + row_bytes(from, r.begin);
        std::byte* out = dst + row_bytes(to, r.begin);
        const std::size_t end = r.begin + convert_range(from, in, to, out, r.end - r.begin);
        if (end != r.end) bad.name(end);
      },
      useful_threads(n, threads));
  return bad.result();
}

std::ptrdiff_t convert_weighted(Type from, const std::byte* src, Type to, std::byte* dst,
                                std::size_t rows, std::size_t cols, const float* importance,
                                ThreadPool& pool, int threads) {
  FirstBad bad(rows * cols);
  pool.run(
      [&](int thread, int n_threads) {
        const Range r = split(rows, thread, n_threads, 1);
        std::vector<float> row(are_floats(from, src) ? 0 : cols);
        for (std::size_t i = r.begin; i < r.end; ++i) {
          const std::byte* in = src + i * row_bytes(from, cols);
          const auto* x = reinterpret_cast<const float*>(in);
          if (!row.empty()) {
            kernels(from).dequantize(in, row.data(), cols);
            x = row.data();
          }
          std::byte* out = dst + i * row_bytes(to, cols);
          const auto quantize = [&](const float* floats, std::byte* blocks, std::size_t n) {
            return kernels(to).quantize_weighted(floats, importance, blocks, n);
          };
          const std::size_t end = checked(to, quantize, x, out, cols, true);
          if (end < cols) return bad.name(i * cols + end);
        }
      },
      useful_threads(rows * cols, threads));
  return bad.result();
}

}  // namespace ggmlkit
