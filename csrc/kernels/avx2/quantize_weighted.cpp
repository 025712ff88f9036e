// Float32 to blocks where columns differ in importance.
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/eight_lanes.h"
#include "kernels/blocks_weighted.h"
#include "kernels/iq4_quantize.h"
#include "kernels/k_weighted.h"
#include "kernels/lane_pair.h"

namespace ggmlkit::avx2 {

void fill_quantize_weighted(KernelTable& table) {
  using F = EightLanes;
  using Pair = LanePair<F>;
  const auto set = [&](Type type, auto kernel) {
    table.types[static_cast<std::size_t>(type)].quantize_weighted = kernel;
  };
  set(Type::q4_0, quantize_blocks_weighted<F, Q4_0>);
  set(Type::q4_1, quantize_blocks_weighted<F, Q4_1>);
  set(Type::q5_0, quantize_blocks_weighted<F, Q5_0>);
  set(Type::q5_1, quantize_blocks_weighted<F, Q5_1>);
  set(Type::q2_K, quantize_k_weighted<Pair, Q2K>);
  set(Type::q3_K, quantize_k_weighted<Pair, Q3K>);
  set(Type::q4_K, quantize_k_weighted<Pair, Q4K>);
  set(Type::q5_K, quantize_k_weighted<Pair, Q5K>);
  set(Type::q6_K, quantize_k_weighted<Pair, Q6K>);
  set(Type::iq4_nl, quantize_iq4_weighted<F, Iq4Nl>);
  set(Type::iq4_xs, quantize_iq4_weighted<F, Iq4Xs>);
}

}  // namespace ggmlkit::avx2
