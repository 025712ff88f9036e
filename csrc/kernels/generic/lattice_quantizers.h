// Which quantizer each type has whose elements are points of a lattice.
#pragma once

#include "kernels/generic/iq1_quantize.h"
#include "kernels/generic/lattice_quantize.h"
#include "kernels/kernel_table.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

template <class F, class Search>
void set_lattice_quantizers(KernelTable& table) {
  const auto set = [&](Type type, auto plain, auto weighted) {
    table.types[static_cast<std::size_t>(type)].quantize = plain;
    table.types[static_cast<std::size_t>(type)].quantize_weighted = weighted;
  };
  const auto set_signed = [&](Type type, auto block) {
    using B = decltype(block);
    set(type, quantize_lattice<F, Search, B>, quantize_lattice_weighted<F, Search, B>);
  };
  set(Type::iq1_s, quantize_iq1<F, Search, Iq1S>, quantize_iq1_weighted<F, Search, Iq1S>);
  set(Type::iq1_m, quantize_iq1<F, Search, Iq1M>, quantize_iq1_weighted<F, Search, Iq1M>);
  set_signed(Type::iq2_xxs, Iq2Xxs());
  set_signed(Type::iq2_xs, Iq2Xs());
  set_signed(Type::iq2_s, Iq2S());
  set_signed(Type::iq3_xxs, Iq3Xxs());
  set_signed(Type::iq3_s, Iq3S());
}

}  // namespace
}  // namespace ggmlkit
