// Compares every slot of the instruction sets named on the command line with scalar's, or with
// the layout's plain template where rows are packed. Needs no Python, so that it also runs where
// only an emulator stands for the processor. Exits 1 where a slot differs, 2 where a set is
// refused.
#include <cstdio>
#include <exception>

#include "check_attention.h"
#include "check_floats.h"
#include "check_products.h"
#include "check_rows.h"

namespace ggmlkit::check {
namespace {

int check_set(const char* name) {
  Report report;
  Checked c{table_named(name), scalar_table(), report, Random(1)};
  for_types([&c](Type type) { check_type(c, type); });
  for (const Type type : {Type::f16, Type::bf16}) check_every_half(c, type);
  check_activations(c);
  for_types([&c](Type type) {
    if (c.expected(type).pack == nullptr) return;
    const std::size_t size = info(type).block_size;
    for (const std::size_t blocks : {1, 2, 3}) check_pack(c, type, blocks * size);
  });
  check_products(c);
  check_float_products(c);
  check_silu(c);
  check_gelu(c);
  check_soft_cap(c);
  check_rotations(c);
  for (std::size_t n = 1; n <= 40; ++n) check_steps(c, n);
  for (const KvType type : {KvType::f16, KvType::q8_0, KvType::q4_0}) {
    for (std::size_t rows = 1; rows <= 9; ++rows) {
      for (const std::size_t d : {4, 7, 32, 48, 64, 77, 128}) check_attention(c, type, rows, d);
    }
  }
  std::printf("%s: %d checks, %d wrong\n", c.table.name, report.checks(), report.failures());
  return report.failures();
}

}  // namespace
}  // namespace ggmlkit::check

int main(int count, char** names) {
  int failures = 0;
  for (int i = 1; i < count; ++i) {
    try {
      failures += ggmlkit::check::check_set(names[i]);
    } catch (const std::exception& refused) {
      std::printf("%s\n", refused.what());
      return 2;
    }
  }
  return failures == 0 ? 0 : 1;
}
