// q2_K to q6_K to float32.
#include "kernels/layouts/k_blocks.h"
#include "kernels/scalar/scalar.h"

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

template <class B>
void set(KernelTable& table, Type type) {
  table.types[static_cast<std::size_t>(type)].dequantize = dequantize<B>;
}

}  // namespace

void fill_scalar_k_quants(KernelTable& table) {
  set<Q2K>(table, Type::q2_K);
  set<Q3K>(table, Type::q3_K);
  set<Q4K>(table, Type::q4_K);
  set<Q5K>(table, Type::q5_K);
  set<Q6K>(table, Type::q6_K);
}

}  // namespace ggmlkit
