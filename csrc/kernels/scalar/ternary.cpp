// tq1_0, tq2_0, q1_0 and q2_0 to float32.
#include "kernels/layouts/ternary_blocks.h"
#include "kernels/scalar/scalar.h"

namespace ggmlkit {
namespace {

template <class B>
void dequantize(const std::byte* src, float* dst, std::size_t n) {
  for (std::size_t b = 0; b < n / B::size; ++b, dst += B::size) {
    std::int8_t q[B::size];
    block_at<B>(src, b).unpack(q);
    const float d = half_at(block_at<B>(src, b).d);
    for (int j = 0; j < B::size; ++j) dst[j] = d * static_cast<float>(q[j]);
  }
}

}  // namespace

void fill_scalar_ternary(KernelTable& table) {
  const auto set = [&](Type type, auto kernel) {
    table.types[static_cast<std::size_t>(type)].dequantize = kernel;
  };
  set(Type::tq1_0, dequantize<Tq1_0>);
  set(Type::tq2_0, dequantize<Tq2_0>);
  set(Type::q1_0, dequantize<Q1_0>);
  set(Type::q2_0, dequantize<Q2_0>);
}

}  // namespace ggmlkit
