// Which quantizer takes the importance of columns for each type that has one, as group_quantizers.h
// does for all.
#pragma once

#include "kernels/generic/iq4_quantize.h"
#include "kernels/generic/k_weighted_quantize.h"
#include "kernels/generic/weighted_quantize.h"
#include "kernels/kernel_table.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

template <class F, class Wide>
void set_weighted_quantizers(KernelTable& table) {
  const auto set = [&](Type type, auto kernel) {
    table.types[static_cast<std::size_t>(type)].quantize_weighted = kernel;
  };
  set(Type::q4_0, quantize_blocks_weighted<F, Q4_0>);
  set(Type::q4_1, quantize_blocks_weighted<F, Q4_1>);
  set(Type::q5_0, quantize_blocks_weighted<F, Q5_0>);
  set(Type::q5_1, quantize_blocks_weighted<F, Q5_1>);
  set(Type::q2_K, quantize_k_weighted<Wide, Q2K>);
  set(Type::q3_K, quantize_k_weighted<Wide, Q3K>);
  set(Type::q4_K, quantize_k_weighted<Wide, Q4K>);
  set(Type::q5_K, quantize_k_weighted<Wide, Q5K>);
  set(Type::q6_K, quantize_k_weighted<Wide, Q6K>);
  set(Type::iq4_nl, quantize_iq4_weighted<F, Iq4Nl>);
  set(Type::iq4_xs, quantize_iq4_weighted<F, Iq4Xs>);
}

}  // namespace
}  // namespace ggmlkit
