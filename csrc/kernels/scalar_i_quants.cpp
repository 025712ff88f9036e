// The types whose elements are points of a lattice, four or eight at a time, to float32. Layouts:
// GGML_FORMATS, section 3, and the gguf package.
#include "kernels/bytes.h"
#include "kernels/grids/iq1.h"
#include "kernels/grids/iq2.h"
#include "kernels/grids/iq3.h"
#include "kernels/iq1_blocks.h"
#include "kernels/scalar.h"

namespace ggmlkit {
namespace {

template <int Points, int Elements>
struct Grid {
  float point[Points][Elements] = {};
};

// Element e of a point is the number at bit e · Bits of its word.
template <int Bits, int Elements, int Points, int Values>
constexpr Grid<Points, Elements> expanded(const std::uint16_t (&words)[Points],
                                          const float (&values)[Values]) {
  Grid<Points, Elements> grid{};
  for (int p = 0; p < Points; ++p) {
    for (int e = 0; e < Elements; ++e) {
      grid.point[p][e] = values[(words[p] >> (Bits * e)) & ((1 << Bits) - 1)];
    }
  }
  return grid;
}

constexpr float kIq2Values[] = {8, 25, 43, 0};
constexpr float kIq3XxsValues[] = {4, 12, 20, 28, 36, 44, 52, 62, 0, 0, 0, 0, 0, 0, 0, 0};
constexpr float kIq3SValues[] = {1, 3, 5, 7, 9, 11, 13, 15, 0, 0, 0, 0, 0, 0, 0, 0};
constexpr float kIq1Values[] = {-1, 0, 1, 0};

constexpr auto kIq2Xxs = expanded<2, 8>(kIq2XxsPoints, kIq2Values);
constexpr auto kIq2Xs = expanded<2, 8>(kIq2XsPoints, kIq2Values);
constexpr auto kIq2S = expanded<2, 8>(kIq2SPoints, kIq2Values);
constexpr auto kIq3Xxs = expanded<4, 4>(kIq3XxsPoints, kIq3XxsValues);
constexpr auto kIq3S = expanded<4, 4>(kIq3SPoints, kIq3SValues);
constexpr auto kIq1 = expanded<2, 8>(kIq1Points, kIq1Values);

constexpr int kSuper = 256;

// Seven signs and an eighth that makes the number of minuses even.
int with_parity(unsigned seven) {
  return static_cast<int>(seven | (static_cast<unsigned>(__builtin_parity(seven)) << 7));
}

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

struct Iq2Xxs {
  std::uint8_t d[2];
  std::uint8_t groups[8][8];  // four points; then four times seven signs and a scale of four bits

  void dequantize(float* dst) const {
    for (const auto& group : groups) {
      const auto rest = load_at<std::uint32_t>(group + 4);
      const float scale = half_at(d) * (0.5f + static_cast<float>(rest >> 28)) * 0.25f;
      for (int k = 0; k < 4; ++k) {
        const int signs = with_parity((rest >> (7 * k)) & 127);
        dst = put<8>(kIq2Xxs.point[group[k]], scale, signs, dst);
      }
    }
  }
};

struct Iq2Xs {
  std::uint8_t d[2];
  std::uint8_t quants[64];  // of each eight elements, nine bits of point and seven of signs
  std::uint8_t scales[8];   // of sixteen elements each

  void dequantize(float* dst) const {
    for (int k = 0; k < 32; ++k) {
      const int word = load_at<std::uint16_t>(quants, k);
      const int s = (scales[k / 4] >> (k / 2 % 2 * 4)) & 15;
      const float scale = half_at(d) * (0.5f + static_cast<float>(s)) * 0.25f;
      dst = put<8>(kIq2Xs.point[word & 511], scale, with_parity(word >> 9), dst);
    }
  }
};

struct Iq2S {
  std::uint8_t d[2];
  std::uint8_t quants[32];
  std::uint8_t signs[32];
  std::uint8_t high[8];  // upper two bits of the points
  std::uint8_t scales[8];

  void dequantize(float* dst) const {
    for (int k = 0; k < 32; ++k) {
      const int point = quants[k] | (((high[k / 4] >> (k % 4 * 2)) & 3) << 8);
      const int s = (scales[k / 4] >> (k / 2 % 2 * 4)) & 15;
      const float scale = half_at(d) * (0.5f + static_cast<float>(s)) * 0.25f;
      dst = put<8>(kIq2S.point[point], scale, signs[k], dst);
    }
  }
};

struct Iq3Xxs {
  std::uint8_t d[2];
  std::uint8_t quants[64];
  std::uint8_t rest[32];  // of 32 elements, four times seven signs and a scale of four bits

  void dequantize(float* dst) const {
    for (int g = 0; g < 8; ++g) {
      const auto word = load_at<std::uint32_t>(rest, g);
      const float scale = half_at(d) * (0.5f + static_cast<float>(word >> 28)) * 0.5f;
      for (int k = 0; k < 8; ++k) {
        const int signs = with_parity((word >> (7 * (k / 2))) & 127) >> (k % 2 * 4);
        dst = put<4>(kIq3Xxs.point[quants[8 * g + k]], scale, signs, dst);
      }
    }
  }
};

struct Iq3S {
  std::uint8_t d[2];
  std::uint8_t quants[64];
  std::uint8_t high[8];  // bit 8 of the points
  std::uint8_t signs[32];
  std::uint8_t scales[4];  // of 32 elements each

  void dequantize(float* dst) const {
    for (int k = 0; k < 64; ++k) {
      const int point = quants[k] | (((high[k / 8] >> (k % 8)) & 1) << 8);
      const int s = (scales[k / 16] >> (k / 8 % 2 * 4)) & 15;
      const float scale = half_at(d) * static_cast<float>(1 + 2 * s);
      dst = put<4>(kIq3S.point[point], scale, signs[k / 2] >> (k % 2 * 4), dst);
    }
  }
};

// Points of iq1 are moved by an eighth, up or down.
template <class B>
void dequantize_iq1(const std::byte* src, float* dst, std::size_t n) {
  for (std::size_t b = 0; b < n / kSuper; ++b) {
    block_at<B>(src, b).for_points([&](int point, float scale, bool down) {
      const float delta = down ? -kIq1Moved : kIq1Moved;
      for (const float v : kIq1.point[point]) *dst++ = scale * (v + delta);
    });
  }
}

static_assert(sizeof(Iq2Xxs) == 66 && sizeof(Iq2Xs) == 74 && sizeof(Iq2S) == 82);
static_assert(sizeof(Iq3Xxs) == 98 && sizeof(Iq3S) == 110);

template <class B>
void dequantize(const std::byte* src, float* dst, std::size_t n) {
  for (std::size_t b = 0; b < n / kSuper; ++b, dst += kSuper) block_at<B>(src, b).dequantize(dst);
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
