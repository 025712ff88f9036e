// What one machine can do at most: memory traffic in GB/s, integer multiply-adds in G/s.
//
//     probe THREADS MEGABYTES ROUNDS
//
// prints JSON: kind → method → median over the rounds. A method is one way of doing the same
// thing; the machine's number is its fastest. MEGABYTES is the size of each of two buffers.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <sys/mman.h>

#include "multiply_add.h"

namespace {

// 32 bytes: what one load or store of AVX2 moves, two of NEON.
using Vector = uint64_t __attribute__((vector_size(32)));

constexpr size_t kVectorsPerLine = 2;

// The compiler must take `value` for used.
template <class T>
void keep(const T& value) {
  asm volatile("" : : "r"(&value) : "memory");
}

// Pieces of `piece` vectors, so many at once.
void read(const Vector* from, size_t n, size_t at_once, size_t lines_ahead) {
  constexpr size_t piece = 16384 / sizeof(Vector);
  Vector sums[8] = {};
  for (; n >= at_once * piece; n -= at_once * piece, from += at_once * piece)
    for (size_t i = 0; i < piece; i += 8)
      for (size_t p = 0; p < at_once; ++p) {
        const Vector* v = from + p * piece + i;
        for (size_t line = 0; line < 4 && lines_ahead; ++line)
          __builtin_prefetch(v + (lines_ahead + line) * kVectorsPerLine);
        for (size_t k = 0; k < 8; ++k) sums[k] ^= v[k];
      }
  keep(sums);
}

void write(Vector* to, size_t n) {
  const Vector value = {1, 2, 3, 4};
  for (size_t i = 0; i < n; ++i) to[i] = value;
  keep(*to);
}

// Past the caches: a line is not read before it is written.
void write_streaming(Vector* to, size_t n) {
#if defined(__AVX2__)
  const __m256i value = _mm256_set1_epi32(1);
  for (size_t i = 0; i < n; ++i) _mm256_stream_si256(reinterpret_cast<__m256i*>(to + i), value);
  _mm_sfence();
#else
  write(to, n);
#endif
}

// Seconds of `work(thread)` on all threads, from a common start to the last one's end.
double seconds(int threads, const std::function<void(int)>& work) {
  std::atomic<int> ready{0};
  std::atomic<bool> go{false};
  std::vector<std::thread> pool;
  for (int t = 0; t < threads; ++t)
    pool.emplace_back([&, t] {
      ++ready;
      while (!go) std::this_thread::yield();
      work(t);
    });
  while (ready < threads) std::this_thread::yield();
  const auto start = std::chrono::steady_clock::now();
  go = true;
  for (auto& thread : pool) thread.join();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Method {
  std::string kind, name;
  double amount;  // bytes or multiply-adds of one run on all threads
  std::function<void(int)> work;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

struct Buffer {
  explicit Buffer(size_t bytes)
      : data(static_cast<Vector*>(std::aligned_alloc(size_t{2} << 20, bytes)), std::free) {
    madvise(data.get(), bytes, MADV_HUGEPAGE);  // as packed weights have them
    std::memset(data.get(), 1, bytes);
  }
  std::unique_ptr<Vector, void (*)(void*)> data;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const int threads = std::atoi(argv[1]);
  const size_t bytes = std::strtoull(argv[2], nullptr, 10) << 20;
  const int rounds = std::atoi(argv[3]);
  if (threads < 1 || bytes == 0 || rounds < 1) return 2;

  const Buffer one(bytes), two(bytes);
  const size_t part = bytes / sizeof(Vector) / threads;
  const auto of_one = [&](int t) { return one.data.get() + t * part; };
  const auto of_two = [&](int t) { return two.data.get() + t * part; };
  const auto moved = static_cast<double>(part * threads * sizeof(Vector));

  std::vector<Method> methods;
  for (const size_t at_once : {1, 2})
    for (const size_t ahead : {0, 16, 48, 256})
      methods.push_back({"read",
                         std::to_string(at_once) + (at_once == 1 ? " stream" : " streams") +
                             ", prefetch " + std::to_string(ahead * 64) + " B ahead",
                         moved, [=](int t) { read(of_one(t), part, at_once, ahead); }});
  methods.push_back({"write", "plain", moved, [=](int t) { write(of_one(t), part); }});
  methods.push_back(
      {"write", "streaming", moved, [=](int t) { write_streaming(of_one(t), part); }});
  methods.push_back({"copy", "memcpy, read and written", 2 * moved,
                     [=](int t) { std::memcpy(of_two(t), of_one(t), part * sizeof(Vector)); }});
  for (const MultiplyAdd& sequence : kMultiplyAdds)
    if (sequence.is_there())
      methods.push_back({"multiply_add", sequence.name,
                         static_cast<double>(kRepeats) * sequence.per_repeat * threads,
                         [=](int) { sequence.run(kRepeats); }});

  // Methods take turns, so that a slow spell of the machine hits all alike.
  std::vector<std::vector<double>> rates(methods.size());
  for (int round = 0; round < rounds; ++round)
    for (size_t m = 0; m < methods.size(); ++m)
      rates[m].push_back(methods[m].amount / seconds(threads, methods[m].work) / 1e9);

  std::string kind;
  std::printf("{");
  for (size_t m = 0; m < methods.size(); ++m) {
    if (methods[m].kind != kind)
      std::printf("%s\"%s\": {", kind.empty() ? "" : "}, ", methods[m].kind.c_str());
    else
      std::printf(", ");
    kind = methods[m].kind;
    std::printf("\"%s\": %.2f", methods[m].name.c_str(), median(rates[m]));
  }
  std::printf("}}\n");
  return 0;
}
