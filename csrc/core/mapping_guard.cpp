#include "core/mapping_guard.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>

namespace ggmlkit {
namespace {

// Read by the signal handler, so plain lock-free numbers. Free while `end` is 0.
struct Slot {
  std::atomic<std::uintptr_t> begin{0};
  std::atomic<std::uintptr_t> end{0};
  std::atomic<bool> lost{false};
};

std::array<Slot, MappingGuard::kMostMappings> slots;
std::mutex slots_mutex;
struct sigaction previous;
std::uintptr_t page_size = 4096;

// Puts pages of zeros from the missing one to the mapping's end. mmap is a bare system call here,
// safe in a handler.
bool fill(Slot& slot, std::uintptr_t address) {
  const std::uintptr_t end = slot.end.load(std::memory_order_acquire);
  const std::uintptr_t begin = slot.begin.load(std::memory_order_acquire);
  if (address < begin || address >= end) return false;
  const std::uintptr_t page = address / page_size * page_size;
  void* at = reinterpret_cast<void*>(page);  // NOLINT(performance-no-int-to-ptr)
  if (mmap(at, end - page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
      MAP_FAILED) {
    return false;
  }
  slot.lost.store(true, std::memory_order_release);
  return true;
}

// What would have happened without us.
void pass_on(int number, siginfo_t* info, void* context) {
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(number, info, context);
  } else if (previous.sa_handler == SIG_DFL || previous.sa_handler == SIG_IGN) {
    sigaction(number, &previous, nullptr);  // the read is tried again, and ends the process
  } else {
    previous.sa_handler(number);
  }
}

void on_bus_error(int number, siginfo_t* info, void* context) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  for (Slot& slot : slots) {
    if (fill(slot, address)) return;
  }
  pass_on(number, info, context);
}

bool is_default() {
  struct sigaction current = {};
  sigaction(SIGBUS, nullptr, &current);
  return (current.sa_flags & SA_SIGINFO) == 0 && current.sa_handler == SIG_DFL;
}

void install() {
  page_size = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  struct sigaction action = {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &previous);
}

// Libraries that save and restore what Python knows of signals (Lightning is one) leave the default
// in our handler's place. Another handler stays: it may pass on to us, and we must not to it.
void install_where_missing() {
  static bool installed = false;
  if (installed && !is_default()) return;
  install();
  installed = true;
}

}  // namespace

MappingGuard::MappingGuard(const std::byte* begin, std::size_t bytes) : slot_(kMostMappings) {
  const std::lock_guard<std::mutex> lock(slots_mutex);
  install_where_missing();
  const auto first = reinterpret_cast<std::uintptr_t>(begin);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].end.load(std::memory_order_relaxed) != 0) continue;
    slots[i].lost.store(false, std::memory_order_relaxed);
    slots[i].begin.store(first, std::memory_order_release);
    slots[i].end.store((first + bytes + page_size - 1) / page_size * page_size,
                       std::memory_order_release);
    slot_ = i;
    return;
  }
}

MappingGuard::~MappingGuard() {
  if (slot_ < slots.size()) slots[slot_].end.store(0, std::memory_order_release);
}

bool MappingGuard::has_lost_pages() const {
  return slot_ < slots.size() && slots[slot_].lost.load(std::memory_order_acquire);
}

}  // namespace ggmlkit
