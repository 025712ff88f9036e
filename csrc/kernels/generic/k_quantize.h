// Float32 to q2_K … q6_K, as llama.cpp's reference quantizers define them: every group's best scale
// (k_search.h), these scales rounded to integers, and all levels anew for the rounded scales.
//
// Templates over the vector F that the searches work with, for every instruction set.
#pragma once

#include "kernels/generic/block_rows.h"
#include "kernels/generic/k_search.h"
#include "kernels/generic/one_lane.h"
#include "kernels/layouts/k_blocks.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// Blocks whose groups fill a vector's lanes.
template <class F, class B>
constexpr int kAtOnce = F::count > kGroups<B> ? F::count / kGroups<B> : 1;

// What the searches found for all groups of these blocks, in one row.
template <class F, class B>
struct Fits {
  static constexpr int groups = kAtOnce<F, B> * kGroups<B>;

  float scale[groups];
  float min[groups];
  float levels[groups * B::group];  // as the lanes hold them: see level()

  float level(int g, int i) const {
    constexpr int lanes = F::count;
    return levels[(g / lanes * B::group + i) * lanes + g % lanes];
  }
};

// search(g, x, level) returns the fit of the groups from g on.
template <class F, class B, class Search>
void fit_groups(const float* x, Search search, Fits<F, B>& fits) {
  for (int g = 0; g < fits.groups; g += F::count) {
    F lanes[B::group];
    F level[B::group];
    F::template load_groups<B::group>(x + g * B::group, lanes);
    const GroupFit<F> fit = search(g, lanes, level);
    fit.scale.store(fits.scale + g);
    fit.min.store(fits.min + g);
    for (int i = 0; i < B::group; ++i) {
      level[i].store(fits.levels + (g / F::count * B::group + i) * F::count);
    }
  }
}

// Levels of a block for its scales as they are stored; a group whose scale became zero keeps its
// search's. `first` is the block's first group in the row.
template <class F, class B>
void round_levels(const float* x, const Fits<F, B>& fits, int first, B& block) {
  constexpr int top = B::levels - B::offset;
  GroupScales<kGroups<B>> s;
  block.unpack_scales(s);
  std::uint8_t q[kSuper];
  for (int g = 0; g < kGroups<B>; ++g) {
    std::uint8_t* group = q + g * B::group;
    if (s.scale[g] == 0.0f) {
      for (int i = 0; i < B::group; ++i) {
        group[i] = static_cast<std::uint8_t>(fits.level(first + g, i));
      }
      continue;
    }
    using V = typename F::Part;
    for (int i = 0; i < B::group; i += V::count) {
      V v = V::load(x + g * B::group + i);
      if constexpr (B::has_min) v = v + V::all(s.min[g]);
      const V level = V::nearest(v / V::all(s.scale[g]), -B::offset, top) +
                      V::all(static_cast<float>(B::offset));
      level.store_bytes(group + i);
    }
  }
  block.pack(q);
}

inline float largest_of(const float* x, int n) {
  float largest = 0.0f;
  for (int i = 0; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

// Numbers as integers up to `top`, their largest being that. Returns the unit.
inline float round_to_largest(const float* x, int n, int top, std::uint8_t* integers) {
  const float largest = largest_of(x, n);
  const float inverse = largest > 0.0f ? static_cast<float>(top) / largest : 0.0f;
  for (int i = 0; i < n; ++i) {
    integers[i] = static_cast<std::uint8_t>(nearest_integer(inverse * x[i]));
  }
  return largest / static_cast<float>(top);
}

inline void round_scales(const float* scale, const float* min, Q2K& block) {
  std::uint8_t scales[16];
  std::uint8_t mins[16];
  store_half(block.d, round_to_largest(scale, 16, 15, scales));
  store_half(block.dmin, round_to_largest(min, 16, 15, mins));
  for (int g = 0; g < 16; ++g) {
    block.scales[g] = static_cast<std::uint8_t>(scales[g] | (mins[g] << 4));
  }
}

// q4_K and q5_K.
template <class B>
void round_scales(const float* scale, const float* min, B& block) {
  std::uint8_t scales[8];
  std::uint8_t mins[8];
  store_half(block.d, round_to_largest(scale, 8, 63, scales));
  store_half(block.dmin, round_to_largest(min, 8, 63, mins));
  for (int g = 0; g < 8; ++g) {
    scales[g] = scales[g] < 63 ? scales[g] : 63;
    mins[g] = mins[g] < 63 ? mins[g] : 63;
  }
  block.scales.set(scales, mins);
}

inline void round_scales(const float* scale, const float*, Q3K& block) {
  const float largest = extreme_of(scale, 16);
  std::memset(block.scales, 0, sizeof block.scales);
  store_half(block.d, 0.0f);
  if (largest == 0.0f) return;
  const float inverse = -32.0f / largest;
  std::uint8_t shifted[16];
  for (int g = 0; g < 16; ++g) {
    const int l = static_cast<std::int8_t>(nearest_integer(inverse * scale[g]));
    shifted[g] = static_cast<std::uint8_t>((l < -32 ? -32 : l > 31 ? 31 : l) + 32);
  }
  block.pack_scales(shifted);
  store_half(block.d, 1.0f / inverse);
}

inline void round_scales(const float* scale, const float*, Q6K& block) {
  const float inverse = -128.0f / extreme_of(scale, 16);
  for (int g = 0; g < 16; ++g) {
    const int l = nearest_integer(inverse * scale[g]);
    block.scales[g] = static_cast<std::uint8_t>(l < 127 ? l : 127);
  }
  store_half(block.d, 1.0f / inverse);
}

// The trials of q2_K, q4_K and q5_K, and how the errors of a group's elements weigh.
template <class B>
constexpr RangedTrials kTrials = {};
template <>
constexpr RangedTrials kTrials<Q2K> = {3, -0.5f, 0.1f, 16, false};
template <>
constexpr RangedTrials kTrials<Q4K> = {15, -1.0f, 0.1f, 21, true};
template <>
constexpr RangedTrials kTrials<Q5K> = {31, -0.5f, 0.1f, 16, true};

template <class F, class B>
void ranged_weights(const F (&x)[B::group], F (&w)[B::group]) {
  F base = F::all(0.0f);
  if constexpr (B::group == 32) {
    for (const F& v : x) base = base + v * v;
    base = F::root(base / F::all(32.0f));
  }
  for (int i = 0; i < B::group; ++i) w[i] = base + F::absolute(x[i]);
}

template <class F, class B>
GroupFit<F> search_group(const F (&x)[B::group], F (&level)[B::group]) {
  if constexpr (B::has_min) {
    F w[B::group];
    ranged_weights<F, B>(x, w);
    return fit_range(x, w, kTrials<B>, level);
  } else if constexpr (B::offset == 4) {
    return {fit_by_steps(x, B::offset, level), F::all(0.0f)};
  } else {
    F w[B::group];
    for (int i = 0; i < B::group; ++i) w[i] = x[i] * x[i];
    return {fit_signed(x, w, B::offset, level), F::all(0.0f)};
  }
}

template <class F, class B>
void finish_block(const float* x, const Fits<F, B>& fits, int first, B& block) {
  const float* scale = fits.scale + first;
  // Where q6_K has next to nothing, it stores nothing.
  if (B::offset == 32 && std::fabs(extreme_of(scale, kGroups<B>)) < kNothing) {
    block = {};
    return;
  }
  round_scales(scale, fits.min + first, block);
  round_levels(x, fits, first, block);
}

template <class F, class B>
void quantize_k_blocks(const float* x, B* blocks) {
  Fits<F, B> fits;
  fit_groups(
      x, [](int, const auto& lanes, auto& level) { return search_group<F, B>(lanes, level); },
      fits);
  for (int b = 0; b < kAtOnce<F, B>; ++b) {
    finish_block(x + b * kSuper, fits, b * kGroups<B>, blocks[b]);
  }
}

template <class F, class B>
std::size_t quantize_k(const float* src, std::byte* dst, std::size_t n) {
  return in_batches<B, kAtOnce<F, B>>(
      src, dst, n, [](std::size_t, const float* x, B* blocks) { quantize_k_blocks<F>(x, blocks); });
}

}  // namespace
}  // namespace ggmlkit
