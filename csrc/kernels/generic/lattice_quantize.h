// Float32 to the iq2 and iq3 types, as llama.cpp's quantizers define them: some scales are tried
// for each group; with each, points of the lattice near its elements are chosen, and the trial that
// fits best is kept.
//
// Templates over a vector F (one_lane.h) whose lanes are trials, and a search for points
// (nearest_point.h).
#pragma once

#include "kernels/generic/lattice_rules.h"
#include "kernels/generic/nearest_point.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// Elements that share a scale: without signs, as far as the type keeps these.
template <int N>
struct LatticeGroup {
  float x[N];
  float w[N];
  float roots[N];  // of w
  unsigned signs[N / 8];
};

// Of eight elements; where minuses must be even in number, the one whose sign matters least is
// changed.
inline unsigned take_signs(const float* src, const float* w, bool has_parity, float* x) {
  unsigned signs = 0;
  for (unsigned i = 0; i < 8; ++i) {
    const bool is_minus = !(src[i] >= 0.0f);
    x[i] = is_minus ? -src[i] : src[i];
    signs |= static_cast<unsigned>(is_minus) << i;
  }
  if (!has_parity || __builtin_parity(signs) == 0) return signs;
  unsigned cheapest = 0;
  float least = w[0] * src[0] * src[0];
  for (unsigned i = 1; i < 8; ++i) {
    const float cost = w[i] * src[i] * src[i];
    if (cost < least) {
      least = cost;
      cheapest = i;
    }
  }
  x[cheapest] = -x[cheapest];
  return signs ^ (1u << cheapest);
}

template <class F, class Search, class B>
class LatticeFit {
  using R = Rules<B>;
  static constexpr int N = R::group;
  static constexpr int points = N / R::elements;
  static constexpr int trials = 2 * R::trials + 1;
  static constexpr int padded = (trials + F::count - 1) / F::count * F::count;

 public:
  // `importance` is null where it is not known.
  LatticeFit(const float* src, const float* importance, float average) {
    for (int i = 0; i < N; ++i) {
      group_.w[i] = importance == nullptr ? R::unweighted(average, src[i])
                                          : importance[i] * std::sqrt(average + src[i] * src[i]);
    }
    for (int i = 0; i < N; ++i) group_.roots[i] = std::sqrt(group_.w[i]);
    for (int k = 0; k < N / 8; ++k) {
      group_.signs[k] = take_signs(src + 8 * k, group_.w + 8 * k, R::has_parity, group_.x + 8 * k);
    }
  }

  // The scale, of whichever sign; 0 where the group is left out, without points.
  float fit(bool& is_left_out) {
    float largest = group_.x[0];
    for (int i = 1; i < N; ++i) largest = largest > group_.x[i] ? largest : group_.x[i];
    is_left_out = largest < R::nothing;
    if (is_left_out) return 0.0f;
    float scale = largest / R::top;
    if constexpr (R::again == Again::all) {
      std::uint8_t unused[N];
      scale = PositiveFit<N>(group_.x, group_.w, R::levels + 1).fit(unused);
      largest = scale * static_cast<float>(R::levels);
      is_left_out = largest <= 0.0f;
      if (is_left_out) return 0.0f;
    }
    try_scales(largest);
    return chosen_again(best_of_trials(scale));
  }

  // Puts the points and signs; `flips` where the scale was negative.
  void store(B& block, int g, bool flips) const {
    for (int k = 0; k < points; ++k) {
      const unsigned signs = group_.signs[k * R::elements / 8];
      R::put(block, g, k, near_.point(word_[k]), flips ? ~signs & 255 : signs);
    }
  }

 private:
  void try_scales(float largest) {
    for (int t = 0; t < padded; ++t) {
      const int step = t < trials ? t - R::trials : R::trials;
      inverse_[t] = (R::top + static_cast<float>(step) * R::step) / largest;
      scale_[t] = 1.0f / inverse_[t];
    }
    for (int t = 0; t < padded; t += F::count) find_places(t);
    for (int k = 0; k < points; ++k) {
      for (int t = 0; t < trials; ++t) move_to_lattice(k, t);
    }
    for (int t = 0; t < padded; t += F::count) add_up(t);
  }

  void find_places(int t) {
    const F inverse = F::load(inverse_ + t);
    for (int k = 0; k < points; ++k) {
      F place = F::all(0.0f);
      for (int e = 0; e < R::elements; ++e) {
        const int i = k * R::elements + e;
        const F position = F::all(0.5f) * (inverse * F::all(group_.x[i]) - F::all(1.0f));
        const F level = F::nearest(position, 0, R::levels - 1);
        place = place + level * F::all(static_cast<float>(1 << (R::bits * e)));
        (level + level + F::all(1.0f)).store(value_[i] + t);
      }
      place.store(places_[k] + t);  // below 2^16, so exact
    }
  }

  void move_to_lattice(int k, int t) {
    const auto place = static_cast<int>(places_[k][t]);
    is_on_[k][t] = near_.point(place) >= 0;
    words_[k][t] = static_cast<std::uint16_t>(place);
    if (is_on_[k][t]) return;
    const int word = nearest(k, place, scale_[t]);
    words_[k][t] = static_cast<std::uint16_t>(word);
    for (int e = 0; e < R::elements; ++e) {
      value_[k * R::elements + e][t] = value_of(word, e);
    }
  }

  int nearest(int k, int place, float scale) const {
    const int first = k * R::elements;
    return Search::template best<R::elements, R::bits>(near_.near(place), R::values, scale,
                                                       group_.x + first, group_.roots + first);
  }

  static float value_of(int word, int e) {
    const int level = (word >> (R::bits * e)) & ((1 << R::bits) - 1);
    return static_cast<float>(2 * level + 1);
  }

  void add_up(int t) {
    F xv = F::all(0.0f);
    F v2 = F::all(0.0f);
    for (int i = 0; i < N; ++i) {
      const F v = F::load(value_[i] + t);
      xv = xv + F::all(group_.w[i] * group_.x[i]) * v;
      v2 = v2 + F::all(group_.w[i]) * v * v;
    }
    xv.store(sum_xv_ + t);
    v2.store(sum_v2_ + t);
  }

  float best_of_trials(float scale) {
    float gain = 0.0f;
    int best = -1;
    for (int t = 0; t < trials; ++t) {
      if (!(sum_v2_[t] > 0.0f && sum_xv_[t] * sum_xv_[t] > gain * sum_v2_[t])) continue;
      scale = sum_xv_[t] / sum_v2_[t];
      gain = scale * sum_xv_[t];
      best = t;
    }
    for (int k = 0; k < points; ++k) {
      word_[k] = best < 0 ? 0 : words_[k][best];
      is_chosen_on_[k] = best < 0 ? R::again == Again::off_lattice : is_on_[k][best];
    }
    return scale;
  }

  float chosen_again(float scale) {
    bool any = R::again == Again::all;
    for (int k = 0; k < points; ++k) any |= !is_chosen_on_[k];
    if (!any || !(scale > 0.0f)) return scale;
    for (int k = 0; k < points; ++k) {
      if (R::again == Again::off_lattice && is_chosen_on_[k]) continue;
      const int place = place_of(k, 1.0f / scale);
      word_[k] = near_.point(place) >= 0 ? place : nearest(k, place, scale);
    }
    float xv = 0.0f;
    float v2 = 0.0f;
    for (int i = 0; i < N; ++i) {
      const float v = value_of(word_[i / R::elements], i % R::elements);
      xv += group_.w[i] * group_.x[i] * v;
      v2 += group_.w[i] * v * v;
    }
    return v2 > 0.0f ? xv / v2 : scale;
  }

  int place_of(int k, float inverse) const {
    int place = 0;
    for (int e = 0; e < R::elements; ++e) {
      const int l = nearest_integer(0.5f * (inverse * group_.x[k * R::elements + e] - 1.0f));
      place |= (l < 0 ? 0 : l < R::levels ? l : R::levels - 1) << (R::bits * e);
    }
    return place;
  }

  const NearPoints& near_ = R::near();
  LatticeGroup<N> group_;
  float inverse_[padded];
  float scale_[padded];
  float value_[N][padded];  // 2 · level + 1 of each element
  float places_[points][padded];
  std::uint16_t words_[points][padded];
  bool is_on_[points][padded];
  float sum_xv_[padded];
  float sum_v2_[padded];
  int word_[points];  // those chosen
  bool is_chosen_on_[points];
};

template <class F, class Search, class B>
void quantize_lattice_block(const float* x, const float* importance, B& block) {
  using R = Rules<B>;
  constexpr int groups = 256 / R::group;
  const float average = R::mean * sum_of_squares(x, 256) / 256.0f;
  float scale[groups];
  float largest = 0.0f;
  std::memset(&block, 0, sizeof block);
  for (int g = 0; g < groups; ++g) {
    const int first = g * R::group;
    LatticeFit<F, Search, B> fit(x + first, importance == nullptr ? nullptr : importance + first,
                                 average);
    bool is_left_out = false;
    scale[g] = fit.fit(is_left_out);
    if (is_left_out) continue;
    const bool flips = scale[g] < 0.0f;
    if (flips) scale[g] = -scale[g];
    fit.store(block, g, flips);
    largest = largest > scale[g] ? largest : scale[g];
  }
  if (largest == 0.0f) {
    if (R::clears) std::memset(&block, 0, sizeof block);
    return;
  }
  const float unit = largest / 31.0f;
  const float inverse = 1.0f / unit;
  store_half(block.d, unit * R::widened);
  for (int g = 0; g < groups; ++g) {
    const int l = nearest_integer(0.5f * (inverse * scale[g] - 1.0f));
    R::put_scale(block, g, static_cast<unsigned>(l < 0 ? 0 : l < 15 ? l : 15));
  }
}

template <class F, class Search, class B>
std::size_t quantize_lattice_weighted(const float* src, const float* importance, std::byte* dst,
                                      std::size_t n) {
  return in_batches<B, 1>(src, dst, n, [&](std::size_t first, const float* x, B* block) {
    quantize_lattice_block<F, Search>(x, importance == nullptr ? nullptr : importance + first,
                                      *block);
  });
}

template <class F, class Search, class B>
std::size_t quantize_lattice(const float* src, std::byte* dst, std::size_t n) {
  return quantize_lattice_weighted<F, Search, B>(src, nullptr, dst, n);
}

}  // namespace
}  // namespace ggmlkit
