// Where the threads of one job wait for each other.
#pragma once

#include <atomic>

#include "core/waiting.h"

namespace ggmlkit {

class Barrier {
 public:
  // Returns when all n_threads have arrived; what they wrote before is seen after.
  void wait(int n_threads) {
    if (n_threads == 1) return;
    const unsigned round = round_.load();
    if (arrived_.fetch_add(1) + 1 == n_threads) {
      arrived_.store(0, std::memory_order_relaxed);
      round_.fetch_add(1);
      others_.wake();
      return;
    }
    others_.wait([&] { return round_.load() != round; });
  }

 private:
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<unsigned> round_{0};
  Waiting others_;
};

}  // namespace ggmlkit
