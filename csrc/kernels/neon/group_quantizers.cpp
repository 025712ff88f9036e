// Float32 to the types of group_quantizers.h.
#include "kernels/generic/group_quantizers.h"

#include "kernels/generic/lane_pair.h"
#include "kernels/neon/four_lanes.h"
#include "kernels/neon/neon.h"

namespace ggmlkit::neon {

void fill_group_quantizers(KernelTable& table) {
  set_group_quantizers<FourLanes, LanePair<FourLanes>>(table);
}

}  // namespace ggmlkit::neon
