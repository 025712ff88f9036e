// NEON with matrix multiply instructions: the packed products anew, the rest as NEON has it.
#include "kernels/neon_i8mm/pair_product.h"

namespace ggmlkit {
namespace {

KernelTable make() {
  KernelTable table = neon_table();
  table.name = "neon_i8mm";
  neon::set_products<neon::PairProduct>(table);
  return table;
}

}  // namespace

const KernelTable& neon_i8mm_table() {
  static const KernelTable table = make();
  return table;
}

}  // namespace ggmlkit
