// Float32 to points of lattices.
#include "kernels/generic/lattice_quantizers.h"

#include "kernels/avx2/avx2.h"
#include "kernels/avx2/eight_lanes.h"
#include "kernels/avx2/nearest_point.h"

namespace ggmlkit::avx2 {

void fill_lattice_quantizers(KernelTable& table) {
  set_lattice_quantizers<EightLanes, EightPoints>(table);
}

}  // namespace ggmlkit::avx2
