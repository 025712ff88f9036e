// Float32 to blocks where columns differ in importance.
#include "kernels/blocks_weighted.h"
#include "kernels/iq4_quantize.h"
#include "kernels/k_weighted.h"
#include "kernels/scalar.h"

namespace ggmlkit {

void fill_scalar_weighted(KernelTable& table) {
  using F = OneLane;
  const auto set = [&](Type type, auto kernel) {
    table.types[static_cast<std::size_t>(type)].quantize_weighted = kernel;
  };
  set(Type::q4_0, quantize_blocks_weighted<F, Q4_0>);
  set(Type::q4_1, quantize_blocks_weighted<F, Q4_1>);
  set(Type::q5_0, quantize_blocks_weighted<F, Q5_0>);
  set(Type::q5_1, quantize_blocks_weighted<F, Q5_1>);
  set(Type::q2_K, quantize_k_weighted<F, Q2K>);
  set(Type::q3_K, quantize_k_weighted<F, Q3K>);
  set(Type::q4_K, quantize_k_weighted<F, Q4K>);
  set(Type::q5_K, quantize_k_weighted<F, Q5K>);
  set(Type::q6_K, quantize_k_weighted<F, Q6K>);
  set(Type::iq4_nl, quantize_iq4_weighted<F, Iq4Nl>);
  set(Type::iq4_xs, quantize_iq4_weighted<F, Iq4Xs>);
}

}  // namespace ggmlkit
