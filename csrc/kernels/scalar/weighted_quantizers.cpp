// Float32 to blocks where columns differ in importance.
#include "kernels/generic/weighted_quantizers.h"
#include "kernels/generic/one_lane.h"
#include "kernels/scalar/scalar.h"

namespace ggmlkit {

void fill_scalar_weighted_quantizers(KernelTable& table) {
  set_weighted_quantizers<OneLane, OneLane>(table);
}

}  // namespace ggmlkit
