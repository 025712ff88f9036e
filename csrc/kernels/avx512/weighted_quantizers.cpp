// Float32 to blocks where columns differ in importance.
#include "kernels/generic/weighted_quantizers.h"

#include "kernels/avx512/avx512.h"
#include "kernels/avx512/sixteen_lanes.h"
#include "kernels/generic/lane_pair.h"

namespace ggmlkit::avx512 {

void fill_weighted_quantizers(KernelTable& table) {
  set_weighted_quantizers<SixteenLanes, LanePair<SixteenLanes>>(table);
}

}  // namespace ggmlkit::avx512
