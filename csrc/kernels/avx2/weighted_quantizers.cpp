// Float32 to blocks where columns differ in importance.
#include "kernels/generic/weighted_quantizers.h"

#include "kernels/avx2/avx2.h"
#include "kernels/avx2/eight_lanes.h"
#include "kernels/generic/lane_pair.h"

namespace ggmlkit::avx2 {

void fill_weighted_quantizers(KernelTable& table) {
  set_weighted_quantizers<EightLanes, LanePair<EightLanes>>(table);
}

}  // namespace ggmlkit::avx2
