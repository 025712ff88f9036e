// Float32 to q2_K … q6_K where columns differ in importance, as llama.cpp's quantizers with an
// importance matrix define them: finer trials, and the integers of the scales searched for too.
#pragma once

#include "kernels/generic/importance.h"
#include "kernels/generic/k_quantize.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// x ≈ unit · level for numbers that are not negative: a few units tried, then levels moved one by
// one while that fits better.
template <int N>
class PositiveFit {
 public:
  PositiveFit(const float* x, const float* w, int top) : x_(x), w_(w), top_(top) {}

  // Fills the levels; returns the unit.
  float fit(std::uint8_t* level) {
    float largest = 0.0f;
    for (int i = 0; i < N; ++i) largest = largest > x_[i] ? largest : x_[i];
    std::memset(level, 0, N);
    if (largest < kNothing) return 0.0f;
    const float inverse = best_inverse(largest);
    sum_xl_ = 0.0f;
    sum_l2_ = 0.0f;
    for (int i = 0; i < N; ++i) {
      const int l = at_most_top(inverse * x_[i]);
      level[i] = static_cast<std::uint8_t>(l);
      sum_xl_ += w_[i] * x_[i] * static_cast<float>(l);
      sum_l2_ += w_[i] * static_cast<float>(l) * static_cast<float>(l);
    }
    for (int round = 0; round < 5; ++round) {
      bool changed = false;
      for (int i = 0; i < N; ++i) changed |= move(i, level[i]);
      if (!changed) break;
    }
    return sum_l2_ > 0.0f ? sum_xl_ / sum_l2_ : 0.0f;
  }

 private:
  int at_most_top(float v) const {
    const int l = nearest_integer(v);
    return l < top_ ? l : top_;
  }

  float error(int i, float unit, int l) const {
    const float difference = x_[i] - unit * static_cast<float>(l);
    return w_[i] * difference * difference;
  }

  float best_inverse(float largest) const {
    float best = static_cast<float>(top_) / largest;
    float least = 0.0f;
    for (int i = 0; i < N; ++i) {  // a level is a byte here, whatever its number
      const auto l = static_cast<std::uint8_t>(nearest_integer(best * x_[i]));
      least += error(i, 1.0f / best, l);
    }
    for (int t = -4; t <= 4; ++t) {
      if (t == 0) continue;
      const float inverse = (0.1f * static_cast<float>(t) + static_cast<float>(top_)) / largest;
      float sum = 0.0f;
      for (int i = 0; i < N; ++i) sum += error(i, 1.0f / inverse, at_most_top(inverse * x_[i]));
      if (sum < least) {
        least = sum;
        best = inverse;
      }
    }
    return best;
  }

  bool move(int i, std::uint8_t& level) {
    const float wx = w_[i] * x_[i];
    float xl = sum_xl_ - wx * static_cast<float>(level);
    float l2 = sum_l2_ - w_[i] * static_cast<float>(level) * static_cast<float>(level);
    if (!(xl > 0.0f && l2 > 0.0f)) return false;
    const int moved = at_most_top(x_[i] * l2 / xl);
    if (moved == level) return false;
    xl += wx * static_cast<float>(moved);
    l2 += w_[i] * static_cast<float>(moved) * static_cast<float>(moved);
    if (!(xl * xl * sum_l2_ > sum_xl_ * sum_xl_ * l2)) return false;
    level = static_cast<std::uint8_t>(moved);
    sum_xl_ = xl;
    sum_l2_ = l2;
    return true;
  }

  const float* x_;
  const float* w_;
  int top_;
  float sum_xl_ = 0.0f;
  float sum_l2_ = 0.0f;
};

// `sums` are of each group's weights.
inline void fit_scales(const float* scale, const float* min, const float* sums, Q2K& block) {
  std::uint8_t scales[16];
  std::uint8_t mins[16];
  store_half(block.d, PositiveFit<16>(scale, sums, 15).fit(scales));
  store_half(block.dmin, PositiveFit<16>(min, sums, 15).fit(mins));
  for (int g = 0; g < 16; ++g) {
    block.scales[g] = static_cast<std::uint8_t>(scales[g] | (mins[g] << 4));
  }
}

// q4_K and q5_K; only the latter keeps negative scales, which are bytes above 63, off its bits.
template <class B>
void fit_scales(const float* scale, const float* min, const float* sums, B& block) {
  std::uint8_t scales[8];
  std::uint8_t mins[8];
  store_half(block.d, PositiveFit<8>(scale, sums, 63).fit(scales));
  store_half(block.dmin, PositiveFit<8>(min, sums, 63).fit(mins));
  for (int g = 0; g < 8 && B::levels == 31; ++g) {
    scales[g] = scales[g] < 63 ? scales[g] : 63;
    mins[g] = mins[g] < 63 ? mins[g] : 63;
  }
  block.scales.set(scales, mins);
}

inline void fit_scales(const float* scale, const float*, const float* sums, Q3K& block) {
  OneLane x[16];
  OneLane w[16];
  OneLane level[16];
  OneLane::load_groups<16>(scale, x);
  OneLane::load_groups<16>(sums, w);
  store_half(block.d, fit_signed(x, w, 32, level).v);
  std::uint8_t shifted[16];
  for (int g = 0; g < 16; ++g) level[g].store_bytes(shifted + g);
  block.pack_scales(shifted);
}

// What the square of an element is compared with, in means of the block's.
template <class B>
constexpr float kMeans = 2.0f;
template <>
constexpr float kMeans<Q2K> = 1.0f;

template <class F, class B>
void quantize_k_weighted_blocks(const float* x, const float* importance, B* blocks) {
  constexpr bool plain = B::offset == 32;  // q6_K takes importances as they are
  constexpr int groups = Fits<F, B>::groups;
  float averages[groups];
  float sums[groups];
  averages_of_groups<kSuper, B::group>(
      x, groups, [](float sum) { return kMeans<B> * sum / 256.0f; }, averages);
  const auto search = [&](int g, const F(&lanes)[B::group], F(&level)[B::group]) -> GroupFit<F> {
    F w[B::group];
    F::template load_groups<B::group>(importance + g * B::group, w);
    if constexpr (!plain) weigh(lanes, F::load(averages + g), w);
    F sum = F::all(0.0f);
    for (const F& v : w) sum = sum + v;
    sum.store(sums + g);
    if constexpr (B::has_min) {
      return fit_range(lanes, w, weighted_trials(B::levels), level);
    } else {
      return {fit_signed(lanes, w, B::offset, level), F::all(0.0f)};
    }
  };
  Fits<F, B> fits;
  fit_groups(x, search, fits);
  for (int b = 0; b < kAtOnce<F, B>; ++b) {
    const int first = b * kGroups<B>;
    if constexpr (plain) {
      finish_block(x + b * kSuper, fits, first, blocks[b]);
    } else {
      fit_scales(fits.scale + first, fits.min + first, sums + first, blocks[b]);
      round_levels(x + b * kSuper, fits, first, blocks[b]);
    }
  }
}

template <class F, class B>
std::size_t quantize_k_weighted(const float* src, const float* importance, std::byte* dst,
                                std::size_t n) {
  constexpr int together = kAtOnce<F, B>;
  float room[together * kSuper];
  const auto quantize = [&](std::size_t first, const float* x, B* blocks) {
    quantize_k_weighted_blocks<F>(x, importances_from(importance, first, n, room), blocks);
  };
  return in_batches<B, together>(src, dst, n, quantize);
}

}  // namespace
}  // namespace ggmlkit
