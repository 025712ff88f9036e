// iq4_nl, iq4_xs, mxfp4 and nvfp4 to float32.
#include "kernels/layouts/codebooks.h"
#include "kernels/scalar/scalar.h"

namespace ggmlkit {
namespace {

template <class B>
void dequantize(const std::byte* src, float* dst, std::size_t n) {
  for (std::size_t b = 0; b < n / B::size; ++b) {
    std::uint8_t q[B::size];
    float scale[B::size / B::group];
    unpack_planes<4, B::run, B::size>(block_at<B>(src, b).quants, q);
    block_at<B>(src, b).unpack_scales(scale);
    for (int j = 0; j < B::size; ++j, ++dst) {
      *dst = scale[j / B::group] * static_cast<float>(B::values[q[j]]);
    }
  }
}

}  // namespace

void fill_scalar_codebooks(KernelTable& table) {
  const auto set = [&](Type type, auto kernel) {
    table.types[static_cast<std::size_t>(type)].dequantize = kernel;
  };
  set(Type::iq4_nl, dequantize<Iq4Nl>);
  set(Type::iq4_xs, dequantize<Iq4Xs>);
  set(Type::mxfp4, dequantize<Mxfp4>);
  set(Type::nvfp4, dequantize<Nvfp4>);
}

}  // namespace ggmlkit
