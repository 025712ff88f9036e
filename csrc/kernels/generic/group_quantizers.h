// Which quantizer writes each type that is not a single float16 and its levels: every set fills its
// table from this list, with the vectors it has.
#pragma once

#include "kernels/generic/iq4_quantize.h"
#include "kernels/generic/k_quantize.h"
#include "kernels/generic/mxfp4_quantize.h"
#include "kernels/generic/ternary_quantize.h"
#include "kernels/kernel_table.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// The searches of k-quants wait on sums, and profit from a wider vector.
template <class F, class Wide>
void set_group_quantizers(KernelTable& table) {
  const auto set = [&](Type type, auto kernel) {
    table.types[static_cast<std::size_t>(type)].quantize = kernel;
  };
  set(Type::q2_K, quantize_k<Wide, Q2K>);
  set(Type::q3_K, quantize_k<Wide, Q3K>);
  set(Type::q4_K, quantize_k<Wide, Q4K>);
  set(Type::q5_K, quantize_k<Wide, Q5K>);
  set(Type::q6_K, quantize_k<Wide, Q6K>);
  set(Type::iq4_nl, quantize_iq4<F, Iq4Nl>);
  set(Type::iq4_xs, quantize_iq4<F, Iq4Xs>);
  // Plain loops, which compilers make vectors of.
  set(Type::mxfp4, quantize_mxfp4);
  set(Type::tq1_0, quantize_ternary<Tq1_0>);
  set(Type::tq2_0, quantize_ternary<Tq2_0>);
  set(Type::q2_0, quantize_ternary<Q2_0>);
}

}  // namespace
}  // namespace ggmlkit
