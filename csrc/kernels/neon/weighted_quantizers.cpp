// Float32 to blocks where columns differ in importance.
#include "kernels/generic/weighted_quantizers.h"

#include "kernels/generic/lane_pair.h"
#include "kernels/neon/four_lanes.h"
#include "kernels/neon/neon.h"

namespace ggmlkit::neon {

void fill_weighted_quantizers(KernelTable& table) {
  set_weighted_quantizers<FourLanes, LanePair<FourLanes>>(table);
}

}  // namespace ggmlkit::neon
