// Float32 to blocks that make good for each other's errors.
#include "kernels/generic/calibration/rows.h"
#include "kernels/generic/lane_pair.h"
#include "kernels/avx512/sixteen_lanes.h"
#include "kernels/avx512/avx512.h"

namespace ggmlkit::avx512 {

void fill_calibration(KernelTable& table) { set_calibration<LanePair<SixteenLanes>>(table); }

}  // namespace ggmlkit::avx512
