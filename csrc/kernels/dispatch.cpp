// Chooses the kernel table once, from what the processor has or from GGMLKIT_ISA.
#include <cstdlib>
#include <stdexcept>
#include <string>

#if defined(GGMLKIT_AVX2)
#include <cpuid.h>
#endif
#if defined(GGMLKIT_NEON)
#include <sys/auxv.h>
#endif
#if defined(GGMLKIT_AMX)
#include "kernels/amx/permission.h"
#endif
#include "kernels/kernel_table.h"

namespace ggmlkit {
namespace {

struct InstructionSet {
  const char* name;
  const char* needs;
  bool (*is_there)();
  const KernelTable& (*table)();
};

#if defined(GGMLKIT_AVX2)
// Where a set's flag is there, so is the system's support of its registers: the builtin asks both.
bool has_avx2() {
  constexpr unsigned kF16c = 1u << 29;  // of ECX; older compilers' builtin does not know it
  unsigned a = 0, b = 0, c = 0, d = 0;
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & kF16c) != 0;
}
#endif

#if defined(GGMLKIT_SIMDE)
constexpr auto has_avxvnni = has_avx2;
constexpr auto has_avx512 = has_avx2;
constexpr auto has_avx512vnni = has_avx2;
constexpr auto has_amx = has_avx2;
#else
#if defined(GGMLKIT_AVXVNNI)
bool has_avxvnni() {
  constexpr unsigned kAvxVnni = 1u << 4;  // of EAX; younger than some compilers' builtin
  unsigned a = 0, b = 0, c = 0, d = 0;
  return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & kAvxVnni) != 0;
}
#endif

#if defined(GGMLKIT_AVX512)
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#endif

#if defined(GGMLKIT_AVX512VNNI)
bool has_avx512vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }
#endif

#if defined(GGMLKIT_AMX)
bool has_amx() {
  constexpr unsigned kTile = 1u << 24;  // of EDX
  constexpr unsigned kBfloat16 = 1u << 22;
  unsigned a = 0, b = 0, c = 0, d = 0;
  return has_avx512vnni() && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & kTile) != 0 &&
         (d & kBfloat16) != 0 && may_use_tiles();
}
#endif
#endif

#if defined(GGMLKIT_NEON)
// Linux's bits, by number because older C libraries do not name them (arch/arm64 asm/hwcap.h).
bool has_neon_dotprod() { return (getauxval(AT_HWCAP) >> 20 & 1) != 0; }
bool has_neon_i8mm() { return has_neon_dotprod() && (getauxval(AT_HWCAP2) >> 13 & 1) != 0; }
#endif

// Best first.
constexpr InstructionSet kSets[] = {
#if defined(GGMLKIT_AMX)
    {"amx", "AVX-512 with VNNI, AMX's bfloat16 tiles, or the system's leave to use them", has_amx,
     amx_table},
#endif
#if defined(GGMLKIT_AVX512VNNI)
    {"avx512vnni", "AVX-512 F, BW, VL, DQ or VNNI", has_avx512vnni, avx512vnni_table},
#endif
#if defined(GGMLKIT_AVX512)
    {"avx512", "AVX-512 F, BW, VL or DQ", has_avx512, avx512_table},
#endif
#if defined(GGMLKIT_AVXVNNI)
    {"avxvnni", "AVX2, FMA, F16C or AVX-VNNI", has_avxvnni, avxvnni_table},
#endif
#if defined(GGMLKIT_AVX2)
    {"avx2", "AVX2, FMA or F16C", has_avx2, avx2_table},
#endif
#if defined(GGMLKIT_NEON)
    {"neon_i8mm", "dot product or int8 matrix multiply instructions", has_neon_i8mm,
     neon_i8mm_table},
    {"neon_dotprod", "dot product instructions", has_neon_dotprod, neon_dotprod_table},
    {"neon", "nothing", [] { return true; }, neon_table},
#endif
    {"scalar", "nothing", [] { return true; }, scalar_table},
};

const KernelTable& best() {
  const InstructionSet* set = kSets;
  while (!set->is_there()) ++set;
  return set->table();
}

}  // namespace

const KernelTable& table_named(const char* name) {
  const std::string wanted = name;
  for (const InstructionSet& set : kSets) {
    if (wanted != set.name) continue;
    if (set.is_there()) return set.table();
    throw std::runtime_error("GGMLKIT_ISA=" + wanted + ", but this processor lacks " + set.needs);
  }
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
