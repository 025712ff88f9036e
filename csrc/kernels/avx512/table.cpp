// The AVX-512 table: AVX2's, with the slots filled anew that wider vectors speed up.
#include "kernels/avx512/avx512.h"

namespace ggmlkit {
namespace {

KernelTable make() {
  // What memory bounds stays AVX2's: quantizing without a search, dequantizing.
  KernelTable table = avx2_table();
  table.name = "avx512";
  avx512::fill_group_quantizers(table);
  avx512::fill_weighted_quantizers(table);
  avx512::fill_calibration(table);
  avx512::fill_pack(table);
  avx512::fill_matmul(table);
  avx512::fill_float_matmul(table);
  avx512::fill_elementwise(table);
  avx512::fill_attention(table);
  return table;
}

}  // namespace

const KernelTable& avx512_table() {
  static const KernelTable table = make();
  return table;
}

}  // namespace ggmlkit
