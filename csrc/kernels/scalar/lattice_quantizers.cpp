// Float32 to points of lattices.
#include "kernels/generic/lattice_quantizers.h"
#include "kernels/generic/one_lane.h"
#include "kernels/scalar/scalar.h"

namespace ggmlkit {

void fill_scalar_lattice_quantizers(KernelTable& table) {
  set_lattice_quantizers<OneLane, PlainSearch>(table);
}

}  // namespace ggmlkit
