// Float32 to blocks where columns differ in importance.
#include "kernels/one_lane.h"
#include "kernels/scalar.h"
#include "kernels/weighted_quantizers.h"

namespace ggmlkit {

void fill_scalar_weighted_quantizers(KernelTable& table) {
  set_weighted_quantizers<OneLane, OneLane>(table);
}

}  // namespace ggmlkit
