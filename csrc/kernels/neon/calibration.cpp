// Float32 to blocks that make good for each other's errors.
#include "kernels/generic/calibration/rows.h"
#include "kernels/generic/lane_pair.h"
#include "kernels/neon/four_lanes.h"
#include "kernels/neon/neon.h"

namespace ggmlkit::neon {

void fill_calibration(KernelTable& table) { set_calibration<LanePair<FourLanes>>(table); }

}  // namespace ggmlkit::neon
