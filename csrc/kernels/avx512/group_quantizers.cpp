// Float32 to the types of group_quantizers.h.
#include "kernels/generic/group_quantizers.h"

#include "kernels/avx512/avx512.h"
#include "kernels/avx512/sixteen_lanes.h"
#include "kernels/generic/lane_pair.h"

namespace ggmlkit::avx512 {

void fill_group_quantizers(KernelTable& table) {
  set_group_quantizers<SixteenLanes, LanePair<SixteenLanes>>(table);
}

}  // namespace ggmlkit::avx512
