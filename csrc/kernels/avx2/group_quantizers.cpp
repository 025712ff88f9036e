// Float32 to the types of group_quantizers.h.
#include "kernels/generic/group_quantizers.h"

#include "kernels/avx2/avx2.h"
#include "kernels/avx2/eight_lanes.h"
#include "kernels/generic/lane_pair.h"

namespace ggmlkit::avx2 {

void fill_group_quantizers(KernelTable& table) {
  set_group_quantizers<EightLanes, LanePair<EightLanes>>(table);
}

}  // namespace ggmlkit::avx2
