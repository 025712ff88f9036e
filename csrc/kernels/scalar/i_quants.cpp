// The types whose elements are points of a lattice, four or eight at a time, to float32.
#include "kernels/layouts/grids/iq1.h"
#include "kernels/layouts/iq1_blocks.h"
#include "kernels/layouts/iq2_iq3_blocks.h"
#include "kernels/scalar/scalar.h"

namespace ggmlkit {
namespace {

template <int Points, int Elements>
struct Grid {
  float point[Points][Elements] = {};
};

// Element e of a point is the number at bit e · bits of its word.
template <int Elements, int Points, int Values>
constexpr Grid<Points, Elements> expanded(const std::uint16_t (&words)[Points], int bits,
                                          const float (&values)[Values]) {
  Grid<Points, Elements> grid{};
  for (int p = 0; p < Points; ++p) {
    for (int e = 0; e < Elements; ++e) {
      grid.point[p][e] = values[(words[p] >> (bits * e)) & ((1 << bits) - 1)];
    }
  }
  return grid;
}

constexpr float kIq1Values[] = {-1, 0, 1, 0};
constexpr auto kIq1 = expanded<8>(kIq1Points, 2, kIq1Values);

template <class B>
constexpr auto kGrid = expanded<B::elements>(B::points, B::bits, B::magnitudes);

// The sign bits of four floats, from four bits: a table keeps branches off random data.
struct SignMasks {
  std::uint32_t mask[16][4] = {};
};

constexpr SignMasks sign_masks() {
  SignMasks m{};
  for (unsigned bits = 0; bits < 16; ++bits) {
    for (unsigned e = 0; e < 4; ++e) m.mask[bits][e] = ((bits >> e) & 1) << 31;
  }
  return m;
}

constexpr SignMasks kSigns = sign_masks();

// `Elements` elements of one point, minus where the bit of `signs` is set.
template <int Elements>
float* put(const float* point, float scale, int signs, float* dst) {
  for (int quad = 0; quad < Elements / 4; ++quad, point += 4, dst += 4, signs >>= 4) {
    const std::uint32_t* mask = kSigns.mask[signs & 15];
    for (int e = 0; e < 4; ++e) dst[e] = bits_float(float_bits(scale * point[e]) ^ mask[e]);
  }
  return dst;
}

template <class B>
void dequantize(const std::byte* src, float* dst, std::size_t n) {
  for (std::size_t b = 0; b < n / B::size; ++b) {
    block_at<B>(src, b).for_eights([&](const auto& points, float scale, int signs) {
      for (const int p : points) {
        dst = put<B::elements>(kGrid<B>.point[p], scale, signs, dst);
        signs >>= B::elements;
      }
    });
  }
}

// Points of iq1 are moved by an eighth, up or down.
template <class B>
void dequantize_iq1(const std::byte* src, float* dst, std::size_t n) {
  for (std::size_t b = 0; b < n / B::size; ++b) {
    block_at<B>(src, b).for_points([&](int point, float scale, bool down) {
      const float delta = down ? -kIq1Moved : kIq1Moved;
      for (const float v : kIq1.point[point]) *dst++ = scale * (v + delta);
    });
  }
}

}  // namespace

void fill_scalar_i_quants(KernelTable& table) {
  const auto set = [&](Type type, auto kernel) {
    table.types[static_cast<std::size_t>(type)].dequantize = kernel;
  };
  set(Type::iq1_s, dequantize_iq1<Iq1S>);
  set(Type::iq1_m, dequantize_iq1<Iq1M>);
  set(Type::iq2_xxs, dequantize<Iq2Xxs>);
  set(Type::iq2_xs, dequantize<Iq2Xs>);
  set(Type::iq2_s, dequantize<Iq2S>);
  set(Type::iq3_xxs, dequantize<Iq3Xxs>);
  set(Type::iq3_s, dequantize<Iq3S>);
}

}  // namespace ggmlkit
