// Float32 to iq4_nl and iq4_xs, as llama.cpp's quantizers define them: a group's extreme is mapped
// to -127 and some values around it in turn, and the scale that fits the values best is taken.
//
// Templates over a vector F (one_lane.h) whose lanes are groups of 32.
#pragma once

#include "kernels/generic/block_rows.h"
#include "kernels/generic/importance.h"
#include "kernels/generic/k_search.h"
#include "kernels/generic/one_lane.h"
#include "kernels/layouts/codebooks.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// Entry of `table` for the one of kNormalValues that is nearest, the upper one midway and for NaN.
template <class F, class T>
F of_nearest(F x, const T (&table)[16]) {
  F found = F::all(static_cast<float>(table[0]));
  for (int k = 1; k < 16; ++k) {
    const float middle = 0.5f * static_cast<float>(kNormalValues[k - 1] + kNormalValues[k]);
    found = F::select(x < F::all(middle), found, F::all(static_cast<float>(table[k])));
  }
  return found;
}

constexpr std::uint8_t kNumbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

template <class F, int N>
F fit_values(const F (&x)[N], const F (&w)[N]) {
  const F zero = F::all(0.0f);
  const F largest = extreme(x);
  F sum_xq;
  F sum_q2;
  const auto add_up = [&](F inverse) {
    sum_xq = zero;
    sum_q2 = zero;
    for (int i = 0; i < N; ++i) {
      const F q = of_nearest(inverse * x[i], kNormalValues);
      const F wq = w[i] * q;
      sum_xq = sum_xq + wq * x[i];
      sum_q2 = sum_q2 + wq * q;
    }
  };
  const float first = kNormalValues[0];
  add_up(F::all(1.0f) / (-largest / F::all(first)));
  F best_scale = F::select(sum_q2 > zero, sum_xq / sum_q2, zero);
  F best_gain = best_scale * sum_xq;
  for (int t = -7; t <= 7; ++t) {
    add_up(F::all(first + static_cast<float>(t)) / largest);
    const auto better = F::both(sum_q2 > zero, sum_xq * sum_xq > best_gain * sum_q2);
    const F scale = sum_xq / sum_q2;
    best_scale = F::select(better, scale, best_scale);
    best_gain = F::select(better, scale * sum_xq, best_gain);
  }
  return F::select(largest != zero, best_scale, zero);
}

// Indices of 32 elements into their nibbles.
template <class F>
void store_indices(const float* x, float inverse, std::uint8_t* quants) {
  using V = typename F::Part;
  std::uint8_t q[32];
  for (int i = 0; i < 32; i += V::count) {
    of_nearest(V::all(inverse) * V::load(x + i), kNumbers).store_bytes(q + i);
  }
  pack_planes<4, 16, 32>(q, quants);
}

inline float inverse_or_zero(float x) { return x != 0.0f ? 1.0f / x : 0.0f; }

template <class F>
void finish_block(const float* x, const float* scale, Iq4Nl& block) {
  store_half(block.d, scale[0]);
  store_indices<F>(x, inverse_or_zero(scale[0]), block.quants);
}

template <class F>
void finish_block(const float* x, const float* scale, Iq4Xs& block) {
  const float d = -extreme_of(scale, 8) / 32.0f;
  const float inverse = inverse_or_zero(d);
  std::uint8_t shifted[8];
  store_half(block.d, d);
  for (int g = 0; g < 8; ++g) {
    const int l = nearest_integer(inverse * scale[g]);
    const int kept = l < -32 ? -32 : l > 31 ? 31 : l;
    shifted[g] = static_cast<std::uint8_t>(kept + 32);
    const float unit = d * static_cast<float>(kept);
    store_indices<F>(x + 32 * g, inverse_or_zero(unit), block.quants + 16 * g);
  }
  block.pack_scales(shifted);
}

// weights(g, x, w) sets the weights of the groups from g on.
template <class F, class B, int Together, class Weights>
void quantize_iq4_blocks(const float* x, Weights weights, B* blocks) {
  constexpr int groups = Together * B::size / 32;
  float scale[groups];
  for (int g = 0; g < groups; g += F::count) {
    F lanes[32];
    F w[32];
    F::template load_groups<32>(x + 32 * g, lanes);
    weights(g, lanes, w);
    fit_values(lanes, w).store(scale + g);
  }
  for (int b = 0; b < Together; ++b) {
    finish_block<F>(x + b * B::size, scale + b * (B::size / 32), blocks[b]);
  }
}

template <class F, class B>
constexpr int kIq4Together = 32 * F::count > B::size ? 32 * F::count / B::size : 1;

template <class F, class B>
std::size_t quantize_iq4(const float* src, std::byte* dst, std::size_t n) {
  constexpr int together = kIq4Together<F, B>;
  return in_batches<B, together>(src, dst, n, [](std::size_t, const float* x, B* blocks) {
    const auto squares = [](int, const F(&lanes)[32], F(&w)[32]) {
      for (int i = 0; i < 32; ++i) w[i] = lanes[i] * lanes[i];
    };
    quantize_iq4_blocks<F, B, together>(x, squares, blocks);
  });
}

template <class F, class B>
std::size_t quantize_iq4_weighted(const float* src, const float* importance, std::byte* dst,
                                  std::size_t n) {
  constexpr int together = kIq4Together<F, B>;
  constexpr int groups = together * B::size / 32;
  float room[together * B::size];
  float averages[groups];
  const auto quantize = [&](std::size_t first, const float* x, B* blocks) {
    const float* q = importances_from(importance, first, n, room);
    averages_of_groups<B::size, 32>(
        x, groups, [](float sum) { return sum * (2.0f / static_cast<float>(B::size)); }, averages);
    const auto weigh_groups = [&](int g, const F(&lanes)[32], F(&w)[32]) {
      F::template load_groups<32>(q + 32 * g, w);
      weigh(lanes, F::load(averages + g), w);
    };
    quantize_iq4_blocks<F, B, together>(x, weigh_groups, blocks);
  };
  return in_batches<B, together>(src, dst, n, quantize);
}

}  // namespace
}  // namespace ggmlkit
