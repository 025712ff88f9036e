// Waiting for another thread: in a spin for a while, then asleep until it calls.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ggmlkit {

class Waiting {
 public:
  // Returns once `done()` is true; the atomics it reads are to be written before `wake`. Those and
  // the count of sleepers are in one order for all threads (seq_cst), so that either the sleeper
  // sees what was written or the writer sees the sleeper.
  template <typename Done>
  void wait(const Done& done) {
    const auto start = Clock::now();
    while (Clock::now() - start < kSpin) {
      if (done()) return;
      pause();
    }
    std::unique_lock<std::mutex> lock(mutex_);
    sleepers_.fetch_add(1);
    awake_.wait(lock, done);
    sleepers_.fetch_sub(1);
  }

  void wake() {
    if (sleepers_.load() == 0) return;
    std::lock_guard<std::mutex> lock(mutex_);
    awake_.notify_all();
  }

 private:
  using Clock = std::chrono::steady_clock;
  // Longer than most steps of a token are uneven by, and than it takes to wake a sleeper: a thread
  // that oversleeps by more makes the next one that waits for it fall asleep too, and so on. Not
  // longer, for another process may want this processor, or the thread that is waited for.
  static constexpr std::chrono::microseconds kSpin{40};

  static void pause() {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  std::atomic<int> sleepers_{0};
  std::mutex mutex_;
  std::condition_variable awake_;
};

}  // namespace ggmlkit
