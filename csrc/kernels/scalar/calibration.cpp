// Float32 to blocks that make good for each other's errors.
#include "kernels/generic/calibration/rows.h"
#include "kernels/generic/one_lane.h"
#include "kernels/scalar/scalar.h"

namespace ggmlkit {

void fill_scalar_calibration(KernelTable& table) { set_calibration<OneLane>(table); }

}  // namespace ggmlkit
