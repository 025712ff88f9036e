// Waiting for another thread: first in a spin, then by giving way, then in short sleeps.
#pragma once

#include <chrono>
#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ggmlkit {

class Backoff {
 public:
  // About 20 µs of spinning: longer than most steps of a token are uneven by, shorter than a sleep.
  static constexpr int kSpins = 2000;

  static void spin() {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  // Call until what is waited for has come.
  void wait() {
    ++turns_;
    if (turns_ <= kSpins) {
      spin();
    } else if (turns_ <= kSpins + kYields) {
      std::this_thread::yield();
    } else {
      // Others want this processor, perhaps the thread that is waited for: yielding alone would
      // hand it back at once.
      std::this_thread::sleep_for(std::chrono::microseconds(kSleep));
    }
  }

 private:
  static constexpr int kYields = 100;
  static constexpr int kSleep = 50;  // µs

  int turns_ = 0;
};

}  // namespace ggmlkit
