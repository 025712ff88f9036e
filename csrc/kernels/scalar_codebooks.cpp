// iq4_nl, iq4_xs, mxfp4 and nvfp4 to float32, and back but for the last.
#include "kernels/codebooks.h"
#include "kernels/iq4_quantize.h"
#include "kernels/mxfp4_quantize.h"
#include "kernels/scalar.h"

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
  const auto at = [&](Type type) -> TypeKernels& {
    return table.types[static_cast<std::size_t>(type)];
  };
  at(Type::iq4_nl) = {dequantize<Iq4Nl>, quantize_iq4<OneLane, Iq4Nl>, nullptr};
  at(Type::iq4_xs) = {dequantize<Iq4Xs>, quantize_iq4<OneLane, Iq4Xs>, nullptr};
  at(Type::mxfp4) = {dequantize<Mxfp4>, quantize_mxfp4, nullptr};
  at(Type::nvfp4).dequantize = dequantize<Nvfp4>;
}

}  // namespace ggmlkit
