// Products by `smmla`, which multiplies 2 × 8 bytes by 8 × 2: two tokens by two rows, twice the
// work of `sdot`. A tile is expanded to registers of two rows and eight columns first, which pays
// from four tokens on; below, sdot reads the tile as it is.
#pragma once

#include "kernels/neon_dotprod/signed_dot.h"

namespace ggmlkit::neon {
namespace {

constexpr std::size_t kWorthPairing = 4;

// Block b as sixteen registers: columns 8j … 8j + 7 of rows 2r and 2r + 1 is number 4j + r. What
// follows each other in two rows of quads 2j and 2j + 1 are the words of both, interleaved.
template <class Weights>
void write_pairs(const Weights& w, std::size_t b, std::byte* out) {
  Quad quad[8];
  unpack(w, b, quad);
  const auto words = [](int8x16_t v) { return vreinterpretq_u32_s8(v); };
  for (int j = 0; j < 4; ++j) {
    for (int h = 0; h < 2; ++h, out += kVector) {
      const uint32x4_t left = words(quad[2 * j].val[h]);
      const uint32x4_t right = words(quad[2 * j + 1].val[h]);
      store16(out, vreinterpretq_u8_u32(vzip1q_u32(left, right)));
      store16(out + 16, vreinterpretq_u8_u32(vzip2q_u32(left, right)));
    }
  }
}

// Quads 2j and 2j + 1 of tokens 2p and 2p + 1 of a panel of W from `q` on: eight columns of either.
// A token without a partner is its own.
template <int W>
inline int8x16_t token_pair(const std::int8_t* q, std::size_t j, std::size_t p) {
  const auto words = [](const std::int8_t* at) { return vreinterpretq_s32_s8(vld1q_s8(at)); };
  if constexpr (W == 1) {
    const int8x8_t both = vld1_s8(q + 8 * j);
    return vcombine_s8(both, both);
  } else if constexpr (W == 2) {
    const int32x4_t v = words(q + 16 * j);
    return vreinterpretq_s8_s32(vzip1q_s32(v, vextq_s32(v, v, 2)));
  } else {
    const int32x4_t left = words(q + 8 * j * W + p / 2 * 16);
    const int32x4_t right = words(q + (8 * j + 4) * W + p / 2 * 16);
    return vreinterpretq_s8_s32(p % 2 == 0 ? vzip1q_s32(left, right) : vzip2q_s32(left, right));
  }
}

// Two tokens' values, twice each: a a b b.
template <int W>
inline float32x4_t twice_each(const float* v) {
  if constexpr (W == 1) return vdupq_n_f32(*v);
  const float32x2_t pair = vld1_f32(v);
  const float32x4_t both = vcombine_f32(pair, pair);
  return vzip1q_f32(both, both);
}
template <int W>
inline int32x4_t twice_each(const std::int32_t* v) {
  if constexpr (W == 1) return vdupq_n_s32(*v);
  const int32x2_t pair = vld1_s32(v);
  const int32x4_t both = vcombine_s32(pair, pair);
  return vzip1q_s32(both, both);
}

// Eight rows' values, a register for each two of them: a b a b.
struct RowPairs {
  float32x4_t pair[4];

  explicit RowPairs(float32x4x2_t v) {
    for (int h = 0; h < 2; ++h) {
      const float32x2_t low = vget_low_f32(v.val[h]);
      const float32x2_t high = vget_high_f32(v.val[h]);
      pair[2 * h] = vcombine_f32(low, low);
      pair[2 * h + 1] = vcombine_f32(high, high);
    }
  }
};

// A register a pair of rows and a pair of tokens: token 0 with both rows, then token 1.
template <class Register, int P>
using PairGrid = Register[4][P];

// Sums of activations over a part of a block, for two tokens from value i of a panel on.
template <PackedKind kind, int W>
inline int32x4_t twice_each_sum(const ActivationView& x, std::size_t i, std::size_t part) {
  constexpr std::size_t parts = Packed<kind>::parts;
  const std::int32_t sums[2] = {part_sum<parts>(x, i, part),
                                part_sum<parts>(x, W == 1 ? i : i + 1, part)};
  return twice_each<2>(sums);
}

template <PackedKind kind, int part, int P, int W>
void dot_pairs(const ExpandedBlocks<kind>& w, const ActivationView& x, std::size_t i, std::size_t b,
               std::size_t s, PairGrid<int32x4_t, P>& dot) {
  for (std::size_t p = 0; p < P; ++p) {
    const int32x4_t sum = twice_each_sum<kind, W>(x, i * W + s + 2 * p, part);
    const int32x4_t start = vmulq_n_s32(sum, -Packed<kind>::offset);
    for (int r = 0; r < 4; ++r) dot[r][p] = start;
  }
  const std::int8_t* q = x.q + (i * 8 * W + s) * 4;
  constexpr std::size_t pairs = 4 / Packed<kind>::parts;
  for (std::size_t j = part * pairs; j < (part + 1) * pairs; ++j) {
    int8x16_t a[P];
    for (std::size_t p = 0; p < P; ++p) a[p] = token_pair<W>(q, j, p);
    for (std::size_t h = 0; h < 2; ++h) {
      const Quad rows = load_quad(w.quants + (8 * b + 2 * j + h) * kVector);
      for (int p = 0; p < P; ++p) {
        dot[2 * h][p] = vmmlaq_s32(dot[2 * h][p], a[p], rows.val[0]);
        dot[2 * h + 1][p] = vmmlaq_s32(dot[2 * h + 1][p], a[p], rows.val[1]);
      }
    }
  }
}

// The eight rows of each token, taken apart and brought together.
template <int P>
void scatter_rows(const float (&sums)[2 * P][kTileRows], PairGrid<float32x4_t, P>& total) {
  for (int p = 0; p < P; ++p) {
    for (int r = 0; r < 4; ++r) {
      total[r][p] = vcombine_f32(vld1_f32(sums[2 * p] + 2 * r), vld1_f32(sums[2 * p + 1] + 2 * r));
    }
  }
}
template <int P>
void gather_rows(const PairGrid<float32x4_t, P>& total, float (&sums)[2 * P][kTileRows]) {
  for (int p = 0; p < P; ++p) {
    for (int r = 0; r < 4; ++r) {
      vst1_f32(sums[2 * p] + 2 * r, vget_low_f32(total[r][p]));
      vst1_f32(sums[2 * p + 1] + 2 * r, vget_high_f32(total[r][p]));
    }
  }
}

// P pairs of tokens from slot s on of a panel of W, whose first token is `first`.
template <PackedKind kind, int P, int W>
[[gnu::flatten]] void multiply_pairs(const BlockRange<kind, ExpandedBlocks<kind>>& range,
                                     const ActivationView& x, std::size_t first, std::size_t s) {
  constexpr std::size_t tokens = std::min(2 * P, W);
  float sums[2 * P][kTileRows] = {};
  load_tokens(range, first + s, tokens, sums);
  PairGrid<float32x4_t, P> total;
  scatter_rows<P>(sums, total);
  const std::size_t end = quantized_from(x, range.first_block + range.blocks);
  for (std::size_t i = quantized_from(x, range.first_block); i < end; ++i) {
    const std::size_t b = x.blocks[i] - range.first_block;
    each<Packed<kind>::parts>([&](auto index) {
      constexpr int part = decltype(index)::value;
      PairGrid<int32x4_t, P> dot;
      dot_pairs<kind, part, P, W>(range.weights, x, i, b, s, dot);
      const RowPairs scale(range.weights.scale(b, part));
      for (std::size_t p = 0; p < P; ++p) {
        const float32x4_t a_scale = twice_each<W>(x.scale + i * W + s + 2 * p);
        for (int r = 0; r < 4; ++r) {
          const float32x4_t both = vmulq_f32(scale.pair[r], a_scale);
          total[r][p] = vfmaq_f32(total[r][p], both, vcvtq_f32_s32(dot[r][p]));
        }
      }
      if constexpr (Packed<kind>::has_min) {
        const RowPairs min(range.weights.min(b, part));
        for (std::size_t p = 0; p < P; ++p) {
          const std::size_t at = i * W + s + 2 * p;
          const float32x4_t sum = vcvtq_f32_s32(twice_each_sum<kind, W>(x, at, part));
          const float32x4_t a_sum = vmulq_f32(twice_each<W>(x.scale + at), sum);
          for (int r = 0; r < 4; ++r) total[r][p] = vfmaq_f32(total[r][p], min.pair[r], a_sum);
        }
      }
    });
  }
  gather_rows<P>(total, sums);
  store_tokens(range, first + s, tokens, sums);
}

template <PackedKind kind>
void multiply_all_pairs(const BlockRange<kind, ExpandedBlocks<kind>>& range,
                        const ActivationView& x, std::size_t tokens) {
  for_panels(x, tokens, [&](auto width, const ActivationView& panel, std::size_t first) {
    constexpr int W = decltype(width)::value;
    constexpr int P = W >= 4 ? 2 : 1;
    for (std::size_t s = 0; s < W; s += 2 * P) multiply_pairs<kind, P, W>(range, panel, first, s);
  });
}

struct PairProduct {
  template <PackedKind kind>
  static void matmul(const std::byte* tiles, std::size_t rows, const ActivationView& x,
                     std::size_t tokens, float* y, std::size_t ldy) {
    if (tokens < kWorthPairing) {
      return TileProduct<SignedDot>::matmul<kind>(tiles, rows, x, tokens, y, ldy);
    }
    for_tiles<kind>(tiles, rows, x.cols, y, ldy, [&](const auto& range) {
      for_expanded(
          range, [](const auto& w, std::size_t b, std::byte* out) { write_pairs(w, b, out); },
          [&](const BlockRange<kind, ExpandedBlocks<kind>>& part) {
            multiply_all_pairs<kind>(part, x, tokens);
          });
    });
  }
};

}  // namespace
}  // namespace ggmlkit::neon
