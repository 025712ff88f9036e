// Quantizes and dequantizes tensors with the active kernels on all threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/thread_pool.h"
#include "core/types.h"

namespace ggmlkit {

bool can_dequantize(Type type);
bool can_quantize(Type type);
bool takes_importance(Type type);

void dequantize_row(Type type, const std::byte* src, float* dst, std::size_t n);

// n is a multiple of the block size. threads = 0: all of the pool.
void dequantize(Type type, const std::byte* src, float* dst, std::size_t n, ThreadPool& pool,
                int threads = 0);

// Converts n elements from one type to another through float32, a few KiB at a time: no float array
// is made. n is a multiple of both block sizes. Returns -1, or the index of the first value that
// `to` can't hold, whatever the number of threads (dst is then unspecified): for quantized types
// one that is not finite, for float types one that is too large, or the greatest of a block whose
// scale would be infinite.
std::ptrdiff_t convert(Type from, const std::byte* src, Type to, std::byte* dst, std::size_t n,
                       ThreadPool& pool, int threads = 0);

// The same for `rows` rows of `cols`, with a weight (not negative) of each column's error.
std::ptrdiff_t convert_weighted(Type from, const std::byte* src, Type to, std::byte* dst,
                                std::size_t rows, std::size_t cols, const float* importance,
                                ThreadPool& pool, int threads = 0);

}  // namespace ggmlkit
