// q2_K to q6_K to float32.
#include "kernels/k_blocks.h"
#include "kernels/scalar.h"

namespace ggmlkit {
namespace {

template <class B>
void dequantize(const std::byte* src, float* dst, std::size_t n) {
  for (std::size_t b = 0; b < n / kSuper; ++b) {
    std::uint8_t q[kSuper];
    GroupScales<kGroups<B>> s;
    block_at<B>(src, b).unpack(q);
    block_at<B>(src, b).unpack_scales(s);
    for (int j = 0; j < kSuper; ++j, ++dst) {
      *dst = s.scale[j / B::group] * static_cast<float>(q[j] - B::offset);
      if constexpr (B::has_min) *dst -= s.min[j / B::group];
    }
  }
}

}  // namespace

void fill_scalar_k_quants(KernelTable& table) {
  const auto set = [&](Type type, auto kernel) {
    table.types[static_cast<std::size_t>(type)].dequantize = kernel;
  };
  set(Type::q2_K, dequantize<Q2K>);
  set(Type::q3_K, dequantize<Q3K>);
  set(Type::q4_K, dequantize<Q4K>);
  set(Type::q5_K, dequantize<Q5K>);
  set(Type::q6_K, dequantize<Q6K>);
}

}  // namespace ggmlkit
