// Fork-join pool: a caller and its helpers run one job together; helpers spin briefly, then sleep.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "core/waiting.h"

namespace ggmlkit {

struct Range {
  std::size_t begin;
  std::size_t end;
  std::size_t size() const { return end - begin; }
};

// This thread's share of n items, in steps of `align`; shares differ by at most one step.
inline Range split(std::size_t n, int thread, int n_threads, std::size_t align = 1) {
  const std::size_t steps = (n + align - 1) / align;
  const auto t = static_cast<std::size_t>(thread);
  const auto count = static_cast<std::size_t>(n_threads);
  return {std::min(n, steps * t / count * align), std::min(n, steps * (t + 1) / count * align)};
}

// Processors that this process may use: the affinity mask, and a cgroup's quota below it.
int available_threads();

class ThreadPool {
 public:
  using Job = std::function<void(int thread, int n_threads)>;

  // n threads in all, the caller's included; 0: available_threads()().
  explicit ThreadPool(int n = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return size_; }

  // Runs job(0 … n-1, n) and returns when all are done. Callers from several threads take turns.
  // `limit` > 0 uses at most that many threads. A job must not throw; one that a job runs is
  // computed by its own thread.
  void run(const Job& job, int limit = 0);

  // The process-wide pool, remade in a child after fork.
  static ThreadPool& shared();

 private:
  void help(int thread);

  int size_;
  std::vector<std::thread> threads_;
  std::mutex turn_;
  Waiting helpers_;
  Waiting caller_;
  std::atomic<unsigned> epoch_{0};
  std::atomic<int> pending_{0};
  const Job* job_ = nullptr;
  int active_ = 0;
  std::atomic<bool> stop_{false};
};

}  // namespace ggmlkit
