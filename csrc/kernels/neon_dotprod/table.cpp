// NEON with dot product instructions: the packed products anew, the rest as NEON has it.
#include "kernels/neon_dotprod/signed_dot.h"

namespace ggmlkit {
namespace {

KernelTable make() {
  KernelTable table = neon_table();
  table.name = "neon_dotprod";
  neon::set_products<neon::TileProduct<neon::SignedDot>>(table);
  return table;
}

}  // namespace

const KernelTable& neon_dotprod_table() {
  static const KernelTable table = make();
  return table;
}

}  // namespace ggmlkit
