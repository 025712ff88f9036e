// Chooses the kernel table once, from what the processor has or from GGMLKIT_ISA.
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "kernels/kernel_table.h"

namespace ggmlkit {
namespace {

#if defined(GGMLKIT_AVX2)
bool has_avx2() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("f16c");
}
#endif

const KernelTable& best() {
#if defined(GGMLKIT_AVX2)
  if (has_avx2()) return avx2_table();
#endif
  return scalar_table();
}

}  // namespace

const KernelTable& table_named(const char* name) {
  const std::string wanted = name;
  if (wanted == "scalar") return scalar_table();
#if defined(GGMLKIT_AVX2)
  if (wanted == "avx2") {
    if (!has_avx2()) {
      throw std::runtime_error("GGMLKIT_ISA=avx2, but this processor lacks AVX2, FMA or F16C");
    }
    return avx2_table();
  }
#endif
  throw std::runtime_error("GGMLKIT_ISA=" + wanted + " is no instruction set of this build");
}

const KernelTable& active() {
  static const KernelTable& table = [&]() -> const KernelTable& {
    const char* wanted = std::getenv("GGMLKIT_ISA");
    return wanted != nullptr && *wanted != '\0' ? table_named(wanted) : best();
  }();
  return table;
}

}  // namespace ggmlkit
