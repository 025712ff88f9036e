// Float32 to the types of group_quantizers.h.
#include "kernels/group_quantizers.h"
#include "kernels/one_lane.h"
#include "kernels/scalar.h"

namespace ggmlkit {

void fill_scalar_group_quantizers(KernelTable& table) {
  set_group_quantizers<OneLane, OneLane>(table);
}

}  // namespace ggmlkit
