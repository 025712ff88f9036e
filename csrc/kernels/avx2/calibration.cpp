// Float32 to blocks that make good for each other's errors.
#include "kernels/generic/calibration/rows.h"
#include "kernels/generic/lane_pair.h"
#include "kernels/avx2/eight_lanes.h"
#include "kernels/avx2/avx2.h"

namespace ggmlkit::avx2 {

void fill_calibration(KernelTable& table) { set_calibration<LanePair<EightLanes>>(table); }

}  // namespace ggmlkit::avx2
