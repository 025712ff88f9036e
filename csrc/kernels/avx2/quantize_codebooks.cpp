// Float32 to iq4_nl, iq4_xs, mxfp4, tq1_0 and tq2_0.
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/eight_lanes.h"
#include "kernels/iq4_quantize.h"
#include "kernels/mxfp4_quantize.h"
#include "kernels/ternary_quantize.h"

namespace ggmlkit::avx2 {

void fill_quantize_codebooks(KernelTable& table) {
  const auto set = [&](Type type, auto kernel) {
    table.types[static_cast<std::size_t>(type)].quantize = kernel;
  };
  set(Type::iq4_nl, quantize_iq4<EightLanes, Iq4Nl>);
  set(Type::iq4_xs, quantize_iq4<EightLanes, Iq4Xs>);
  // Plain loops: the compiler makes vectors of them.
  set(Type::mxfp4, quantize_mxfp4);
  set(Type::tq1_0, quantize_ternary<Tq1_0>);
  set(Type::tq2_0, quantize_ternary<Tq2_0>);
}

}  // namespace ggmlkit::avx2
