// Float32 to blocks where columns differ in importance.
#include "kernels/weighted_quantizers.h"

#include "kernels/lane_pair.h"
#include "kernels/neon/four_lanes.h"
#include "kernels/neon/neon.h"

namespace ggmlkit::neon {

void fill_weighted_quantizers(KernelTable& table) {
  set_weighted_quantizers<FourLanes, LanePair<FourLanes>>(table);
}

}  // namespace ggmlkit::neon
