// A lock that callers get in the order in which they asked: one that takes it again and again does
// not keep the others out.
#pragma once

#include <condition_variable>
#include <mutex>

namespace ggmlkit {

class FairMutex {
 public:
  void lock() {
    std::unique_lock<std::mutex> guard(mutex_);
    const unsigned long ticket = next_++;
    changed_.wait(guard, [&] { return ticket == serving_; });
  }
  void unlock() {
    {
      const std::lock_guard<std::mutex> guard(mutex_);
      ++serving_;
    }
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  unsigned long next_ = 0;
  unsigned long serving_ = 0;
};

}  // namespace ggmlkit
