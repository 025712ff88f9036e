// The NEON table: scalar's, with every slot that NEON does better filled anew.
#include "kernels/neon/neon.h"

namespace ggmlkit {
namespace {

KernelTable make() {
  KernelTable table = scalar_table();  // the legacy layouts stay scalar
  table.name = "neon";
  neon::fill_dequantize(table);
  neon::fill_quantize(table);
  neon::fill_group_quantizers(table);
  neon::fill_weighted_quantizers(table);
  neon::fill_calibration(table);
  neon::fill_activations(table);
  neon::fill_pack(table);
  neon::fill_matmul(table);
  neon::fill_float_matmul(table);
  neon::fill_attention(table);
  neon::fill_elementwise(table);
  return table;
}

}  // namespace

const KernelTable& neon_table() {
  static const KernelTable table = make();
  return table;
}

}  // namespace ggmlkit
