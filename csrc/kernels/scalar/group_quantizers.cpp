// Float32 to the types of group_quantizers.h.
#include "kernels/generic/group_quantizers.h"
#include "kernels/generic/one_lane.h"
#include "kernels/scalar/scalar.h"

namespace ggmlkit {

void fill_scalar_group_quantizers(KernelTable& table) {
  set_group_quantizers<OneLane, OneLane>(table);
}

}  // namespace ggmlkit
