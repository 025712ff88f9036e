#include "core/thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>

namespace ggmlkit {
namespace {

int cgroup_quota() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
  return std::max(1, static_cast<int>(std::lround(std::strtod(quota.c_str(), nullptr) / period)));
}

// Never destroyed: some threads may still compute when the process ends.
ThreadPool*& shared_slot() {
  static ThreadPool* pool = nullptr;
  return pool;
}

std::mutex& shared_mutex() {
  static std::mutex mutex;
  return mutex;
}

// Whether this thread runs a job: all others may wait for it, so it waits for none.
thread_local bool is_in_job = false;

}  // namespace

int available_threads() {
  int n = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) n = CPU_COUNT(&set);
  const int quota = cgroup_quota();
  if (quota > 0) n = std::min(n, quota);
  return std::max(1, n);
}

ThreadPool::ThreadPool(int n) : size_(n > 0 ? n : available_threads()) {
  threads_.reserve(static_cast<std::size_t>(size_ - 1));
  for (int t = 1; t < size_; ++t) threads_.emplace_back([this, t] { help(t); });
}

ThreadPool::~ThreadPool() {
  stop_ = true;
  epoch_.fetch_add(1);
  helpers_.wake();
  for (auto& t : threads_) t.join();
}

void ThreadPool::run(const Job& job, int limit) {
  const int n = limit > 0 ? std::min(limit, size_) : size_;
  if (n == 1 || is_in_job) {
    job(0, 1);
    return;
  }
  std::lock_guard<std::mutex> turn(turn_);
  job_ = &job;
  active_ = n;
  pending_.store(size_ - 1);
  epoch_.fetch_add(1);
  helpers_.wake();
  is_in_job = true;
  job(0, n);
  is_in_job = false;
  caller_.wait([&] { return pending_.load() == 0; });
}

void ThreadPool::help(int thread) {
  is_in_job = true;
  for (unsigned seen = 0;;) {
    helpers_.wait([&] { return epoch_.load() != seen; });
    seen = epoch_.load();
    if (stop_) return;
    if (thread < active_) (*job_)(thread, active_);
    if (pending_.fetch_sub(1) == 1) caller_.wake();
  }
}

ThreadPool& ThreadPool::shared() {
  std::lock_guard<std::mutex> lock(shared_mutex());
  ThreadPool*& pool = shared_slot();
  if (pool == nullptr) {
    pool = new ThreadPool();
    static const int registered = pthread_atfork(nullptr, nullptr, [] {
      // The helpers did not survive the fork: leave the old pool be and make a new one on demand.
      static ThreadPool* abandoned = nullptr;
      abandoned = std::exchange(shared_slot(), nullptr);
      (void)abandoned;  // kept reachable, so that leak checkers know it
    });
    (void)registered;
  }
  return *pool;
}

}  // namespace ggmlkit
