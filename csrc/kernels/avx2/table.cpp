// The AVX2 table: scalar's, with every slot that AVX2 does better filled anew.
#include "kernels/avx2/avx2.h"

namespace ggmlkit {
namespace {

KernelTable make() {
  KernelTable table = scalar_table();  // the legacy layouts stay scalar
  table.name = "avx2";
  avx2::fill_dequantize(table);
  avx2::fill_dequantize_k_quants(table);
  avx2::fill_dequantize_codebooks(table);
  avx2::fill_dequantize_ternary(table);
  avx2::fill_dequantize_i_quants(table);
  avx2::fill_lattice_quantizers(table);
  avx2::fill_quantize(table);
  avx2::fill_group_quantizers(table);
  avx2::fill_weighted_quantizers(table);
  avx2::fill_calibration(table);
  avx2::fill_pack(table);
  avx2::fill_activations(table);
  avx2::fill_matmul(table);
  avx2::fill_stored_products(table);
  avx2::fill_float_matmul(table);
  avx2::fill_attention(table);
  avx2::fill_kv_store(table);
  avx2::fill_elementwise(table);
  return table;
}

}  // namespace

const KernelTable& avx2_table() {
  static const KernelTable table = make();
  return table;
}

}  // namespace ggmlkit
