// Float32 to iq1_s and iq1_m, as llama.cpp's quantizers define them: a group's elements, sorted,
// are cut into those for -1, 0 and 1, all moved by an eighth, at the two places that fit best; then
// points of the lattice are chosen near that.
//
// Templates over a vector F (one_lane.h) whose lanes are places of the second cut, and a search for
// points (nearest_point.h).
#pragma once

#include <cfloat>
#include <cmath>
#include <limits>

#include "kernels/generic/importance.h"
#include "kernels/generic/nearest_point.h"
#include "kernels/generic/one_lane.h"
#include "kernels/layouts/grids/iq1.h"
#include "kernels/layouts/iq1_blocks.h"
#include "kernels/layouts/near_points.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// What levels 0, 1 and 2 stand for, moved up and down; in the places that a search looks at.
constexpr float kIq1Levels[2][8] = {
    {-1 + kIq1Moved, kIq1Moved, 1 + kIq1Moved, 0, -1 + kIq1Moved, kIq1Moved, 1 + kIq1Moved, 0},
    {-1 - kIq1Moved, -kIq1Moved, 1 - kIq1Moved, 0, -1 - kIq1Moved, -kIq1Moved, 1 - kIq1Moved, 0}};
constexpr int kUp = 0;
constexpr int kDown = 1;

inline int iq1_level(int word, int e) { return (word >> (2 * e)) & 3; }

// Element order[r] is the r-th smallest of x, the first of equals first; its rank is r. Lanes are
// elements.
template <class F, int N>
void sort_places(const float* x, int (&order)[N], float (&rank)[N]) {
  static_assert(N % F::count == 0);
  float number[N];
  for (int i = 0; i < N; ++i) number[i] = static_cast<float>(i);
  const F zero = F::all(0.0f);
  const F one = F::all(1.0f);
  for (int i = 0; i < N; i += F::count) {
    const F own = F::load(x + i);
    F below = zero;
    for (int j = 0; j < N; ++j) {
      const F other = F::all(x[j]);
      const auto is_first = F::all(number[j]) < F::load(number + i);
      const F is_below = F::select(other < own, one, zero);
      const F is_not_above = F::select(other > own, zero, one);
      below = below + F::select(is_first, is_not_above, is_below);
    }
    below.store(rank + i);
  }
  for (int i = 0; i < N; ++i) order[static_cast<int>(rank[i])] = i;
}

// The best cuts so far.
struct Iq1Cuts {
  float scale = 0.0f;
  float gain = -FLT_MAX;
  int first = -1;   // elements for -1
  int second = -1;  // for -1 and 0
  int moves = 0;    // which of the ways to move the elements

  void take(float xv, float v2, int i, int j, int way) {
    scale = xv / v2;
    gain = scale * xv;
    first = i;
    second = j;
    moves = way;
  }
};

// Sums over the elements of the smallest rank up to one, with NaN behind them, which no trial
// passes.
template <int N, int Lanes>
struct SortedSums {
  float of[N + 1 + Lanes];

  SortedSums() {
    of[0] = 0.0f;
    for (int i = N + 1; i < N + 1 + Lanes; ++i) of[i] = std::numeric_limits<float>::quiet_NaN();
  }
};

// All cuts of N sorted elements, with each of some ways to move them: how much x · v and v² sum up
// to. What fits best has the greatest (Σ x·v)² / Σ v².
template <class F, int Ways, int N>
class Iq1Trials {
 public:
  Iq1Trials() {
    for (int way = 0; way < Ways; ++way) {
      best_square_[way] = F::all(0.0f);
      best_v2_[way] = F::all(1.0f);
      least_v2_[way] = F::all(FLT_MAX);
    }
  }

  // Those of the first cut at i, and the second at j and in the lanes behind it.
  void add(const F (&xv)[Ways], const F (&v2)[Ways], int i, int j) {
    first_[count_] = i;
    second_[count_] = j;
    for (int way = 0; way < Ways; ++way) {
      const F square = xv[way] * xv[way];
      const auto is_more = square * best_v2_[way] > best_square_[way] * v2[way];
      const auto is_one = v2[way] > F::all(0.0f);
      const auto fits = F::both(is_one, is_more);
      least_v2_[way] =
          F::select(F::both(is_one, v2[way] < least_v2_[way]), v2[way], least_v2_[way]);
      best_square_[way] = F::select(fits, square, best_square_[way]);
      best_v2_[way] = F::select(fits, v2[way], best_v2_[way]);
      xv_[count_][way] = xv[way];
      v2_[count_][way] = v2[way];
    }
    ++count_;
  }

  // What one trial after another comes to, each compared with the best before it: one way after
  // another of a cut, then the next cut's.
  Iq1Cuts best() const {
    Iq1Cuts best;
    best.gain = safe_gain();
    for (int n = 0; n < count_; ++n) take_better(n, best);
    return best;
  }

 private:
  static constexpr int vectors() {
    int sum = 0;
    for (int i = 0; i <= N; ++i) sum += (N + 1 - i + F::count - 1) / F::count;
    return sum;
  }

  // A gain below which trials need not be compared: whichever of them are taken, the best one is
  // later. Roundings could delay that: each trial that passes in one case alone is within some 1e-6
  // of the best before it. But there are less than 1200 trials, and these are not within 1 / 256 of
  // the best. That holds where no product that matters is near the ends of float32's range.
  float safe_gain() const {
    float gain = -FLT_MAX;
    float least = FLT_MAX;
    bool is_safe = true;
    for (int way = 0; way < Ways; ++way) {
      float square[F::count];
      float v2[F::count];
      float least_v2[F::count];
      best_square_[way].store(square);
      best_v2_[way].store(v2);
      least_v2_[way].store(least_v2);
      for (int lane = 0; lane < F::count; ++lane) {
        least = least_v2[lane] < least ? least_v2[lane] : least;
        if (square[lane] == 0.0f) continue;  // no trial fits
        is_safe &= square[lane] < 1e30f && v2[lane] < 1e30f;
        const float own = square[lane] / v2[lane] * (255.0f / 256.0f);
        gain = own > gain ? own : gain;
      }
    }
    is_safe &= least > 1e-30f && gain * least > 1e-30f;
    return is_safe ? gain : -FLT_MAX;
  }

  void take_better(int n, Iq1Cuts& best) const {
    unsigned left[Ways];  // lanes to look at
    for (unsigned& lanes : left) lanes = ~0u;
    while (true) {
      unsigned better[Ways];
      unsigned any = 0;
      for (int way = 0; way < Ways; ++way) {
        const F xv = xv_[n][way];
        const F v2 = v2_[n][way];
        const auto fits = F::both(v2 > F::all(0.0f), xv * xv > F::all(best.gain) * v2);
        better[way] = left[way] & F::bits(fits);
        any |= better[way];
      }
      if (any == 0) return;
      const int lane = __builtin_ctz(any);
      int taken = 0;
      while ((better[taken] >> lane & 1) == 0) ++taken;
      float xv[F::count];
      float v2[F::count];
      xv_[n][taken].store(xv);
      v2_[n][taken].store(v2);
      best.take(xv[lane], v2[lane], first_[n], second_[n] + lane, taken);
      for (int way = 0; way < Ways; ++way) {
        left[way] &= ~0u << lane;
        if (way <= taken) left[way] &= ~(1u << lane);
      }
    }
  }

  F best_square_[Ways];  // of each lane of each way
  F best_v2_[Ways];
  F least_v2_[Ways];
  int count_ = 0;
  int first_[vectors()];
  int second_[vectors()];
  F xv_[vectors()][Ways];
  F v2_[vectors()][Ways];
};

// A group of iq1_s, all of whose elements are moved alike: ways kUp and kDown.
template <class F>
Iq1Cuts best_cuts(const float* x, const float* w, const int (&order)[32]) {
  constexpr int n = 32;
  SortedSums<n, F::count> wx;
  SortedSums<n, F::count> ws;
  for (int r = 0; r < n; ++r) {
    const int i = order[r];
    wx.of[r + 1] = wx.of[r] + w[i] * x[i];
    ws.of[r + 1] = ws.of[r] + w[i];
  }
  const F all_x = F::all(wx.of[n]);
  const F all_w = F::all(ws.of[n]);
  Iq1Trials<F, 2, n> trials;
  for (int i = 0; i <= n; ++i) {
    const F below_x = F::all(wx.of[i]);
    const F below_w = F::all(ws.of[i]);
    for (int j = i; j <= n; j += F::count) {
      const F upto_x = F::load(wx.of + j);
      const F upto_w = F::load(ws.of + j);
      F xv[2];
      F v2[2];
      for (int way = 0; way < 2; ++way) {
        const F low = F::all(kIq1Levels[way][0]);
        const F middle = F::all(kIq1Levels[way][1]);
        const F high = F::all(kIq1Levels[way][2]);
        xv[way] = below_x * low + (upto_x - below_x) * middle + (all_x - upto_x) * high;
        v2[way] = below_w * low * low + (upto_w - below_w) * middle * middle +
                  (all_w - upto_w) * high * high;
      }
      trials.add(xv, v2, i, j);
    }
  }
  return trials.best();
}

// A group of iq1_m, each half of which is moved by itself: way 2 · first half's + second half's.
template <class F>
Iq1Cuts best_cuts(const float* x, const float* w, const int (&order)[16]) {
  constexpr int n = 16;
  SortedSums<n, F::count> wx[2];
  SortedSums<n, F::count> ws[2];
  for (int r = 0; r < n; ++r) {
    const int i = order[r];
    const int half = i / 8;
    wx[half].of[r + 1] = wx[half].of[r] + w[i] * x[i];
    ws[half].of[r + 1] = ws[half].of[r] + w[i];
    wx[1 - half].of[r + 1] = wx[1 - half].of[r];
    ws[1 - half].of[r + 1] = ws[1 - half].of[r];
  }
  Iq1Trials<F, 4, n> trials;
  for (int i = 0; i <= n; ++i) {
    for (int j = i; j <= n; j += F::count) {
      F xv_of[2][2];  // half, move
      F v2_of[2][2];
      for (int half = 0; half < 2; ++half) {
        const F cut = F::all(wx[half].of[i]) + F::load(wx[half].of + j);
        for (int way = 0; way < 2; ++way) {
          const float* v = kIq1Levels[way];
          xv_of[half][way] = F::all(wx[half].of[n] * v[2]) - cut;
          v2_of[half][way] =
              F::all(ws[half].of[n] * v[2] * v[2] + ws[half].of[i] * (v[0] * v[0] - v[1] * v[1])) +
              F::load(ws[half].of + j) * F::all(v[1] * v[1] - v[2] * v[2]);
        }
      }
      F xv[4];
      F v2[4];
      for (int way = 0; way < 4; ++way) {
        xv[way] = xv_of[0][way / 2] + xv_of[1][way % 2];
        v2[way] = v2_of[0][way / 2] + v2_of[1][way % 2];
      }
      trials.add(xv, v2, i, j);
    }
  }
  return trials.best();
}

// A group's scale, how its elements are moved (see best_cuts), and its points. Left out where there
// is no scale.
template <int N>
struct Iq1Group {
  bool is_left_out = false;
  float scale = 0.0f;
  int moves = 0;
  int points[N / 8] = {};

  // What the levels of eight elements stand for.
  using Values = float[8];
  const Values& values(int eight) const {
    return kIq1Levels[N == 32 ? moves : eight == 0 ? moves / 2 : moves % 2];
  }
};

template <class F, class Search, int N>
Iq1Group<N> fit_iq1(const float* x, const float* w, float nothing) {
  Iq1Group<N> group;
  float largest = std::fabs(x[0]);
  for (int i = 1; i < N; ++i) largest = largest > std::fabs(x[i]) ? largest : std::fabs(x[i]);
  int order[N];
  float rank[N];
  Iq1Cuts cuts;
  if (!(largest < nothing)) {
    sort_places<F>(x, order, rank);
    cuts = best_cuts<F>(x, w, order);
  }
  group.is_left_out = cuts.first < 0;
  if (group.is_left_out) return group;
  int places[N / 8] = {};
  const bool flips = cuts.scale < 0.0f;
  const auto first = static_cast<float>(cuts.first);
  const auto second = static_cast<float>(cuts.second);
  for (int i = 0; i < N; ++i) {
    const int level = static_cast<int>(rank[i] >= first) + static_cast<int>(rank[i] >= second);
    places[i / 8] |= (flips ? 2 - level : level) << (i % 8 * 2);
  }
  group.scale = flips ? -cuts.scale : cuts.scale;
  group.moves = flips ? (N == 32 ? 1 : 3) - cuts.moves : cuts.moves;
  const NearPoints& near = near_iq1_points();
  bool all_on = true;
  for (int k = 0; k < N / 8; ++k) {
    if (near.point(places[k]) < 0) {
      all_on = false;
      places[k] = Search::template best<8, 2>(near.near(places[k]), group.values(k), group.scale,
                                              x + 8 * k, w + 8 * k);
    }
    group.points[k] = near.point(places[k]);
  }
  if (all_on) return group;
  float xv = 0.0f;
  float v2 = 0.0f;
  for (int i = 0; i < N; ++i) {
    const float v = group.values(i / 8)[iq1_level(places[i / 8], i % 8)];
    xv += w[i] * v * x[i];
    v2 += w[i] * v * v;
  }
  if (xv > 0.0f && v2 > 0.0f) group.scale = xv / v2;
  return group;
}

// Of all 256 elements.
inline void weigh_block(const float* x, const float* importance, bool squares, float (&w)[256]) {
  const float average = 2.0f * sum_of_squares(x, 256) / 256.0f;
  for (int i = 0; i < 256; ++i) {
    const float root = std::sqrt(average + x[i] * x[i]);
    w[i] = importance != nullptr ? importance[i] * root : squares ? x[i] * x[i] : root;
  }
}

inline int scale_of_three_bits(float inverse, float scale) {
  const int l = nearest_integer(0.5f * (inverse * scale - 1.0f));
  return l < 0 ? 0 : l < 7 ? l : 7;
}

template <class F, class Search>
void quantize_iq1_block(const float* x, const float* importance, Iq1S& block) {
  float w[256];
  weigh_block(x, importance, false, w);
  std::memset(&block, 0, sizeof block);
  Iq1Group<32> groups[8];
  unsigned high[8] = {};
  float largest = 0.0f;
  for (int g = 0; g < 8; ++g) {
    groups[g] = fit_iq1<F, Search, 32>(x + 32 * g, w + 32 * g, 1e-12f);
    for (int k = 0; k < 4; ++k) {
      block.quants[4 * g + k] = static_cast<std::uint8_t>(groups[g].points[k] & 255);
      high[g] |= static_cast<unsigned>(groups[g].points[k] >> 8) << (3 * k);
    }
    largest = largest > groups[g].scale ? largest : groups[g].scale;
  }
  const float unit = largest / 15.0f;
  if (largest != 0.0f) store_half(block.d, unit * 1.125f);
  for (int g = 0; g < 8; ++g) {
    if (largest != 0.0f) {
      const int l = scale_of_three_bits(1.0f / unit, groups[g].scale);
      high[g] |= static_cast<unsigned>(l | groups[g].moves << 3) << 12;
    }
    store_at(block.high + 2 * g, static_cast<std::uint16_t>(high[g]));
  }
}

// The scale that fits a block best, given those of its groups and their points.
inline float fitted_iq1_scale(const float* x, const float* w, const Iq1Group<16>* groups,
                              const int* scales, float unit) {
  float xv = 0.0f;
  float v2 = 0.0f;
  for (int i = 0; i < 256; ++i) {
    const Iq1Group<16>& group = groups[i / 16];
    const int half = i / 8 % 2;
    const int level = iq1_level(kIq1Points[group.points[half]], i % 8);
    const int scale = 2 * scales[i / 16] + 1;
    const float v = group.values(half)[level] * static_cast<float>(scale);
    xv += w[i] * v * x[i];
    v2 += w[i] * v * v;
  }
  return v2 > 0.0f ? xv / v2 : unit;
}

template <class F, class Search>
void quantize_iq1_block(const float* x, const float* importance, Iq1M& block) {
  float w[256];
  weigh_block(x, importance, true, w);
  std::memset(&block, 0, sizeof block);
  Iq1Group<16> groups[16];
  float largest = 0.0f;
  for (int g = 0; g < 16; ++g) {
    groups[g] = fit_iq1<F, Search, 16>(x + 16 * g, w + 16 * g, 1e-7f);
    const int* points = groups[g].points;
    for (int k = 0; k < 2; ++k)
      block.quants[2 * g + k] = static_cast<std::uint8_t>(points[k] & 255);
    block.high[g] = static_cast<std::uint8_t>((points[0] >> 8) | (points[1] >> 8 << 4));
    largest = largest > groups[g].scale ? largest : groups[g].scale;
  }
  if (largest == 0.0f) return;
  const float unit = largest / 15.0f;
  int scales[16];
  unsigned words[4] = {};
  for (int g = 0; g < 16; ++g) {
    scales[g] = scale_of_three_bits(1.0f / unit, groups[g].scale);
    words[g / 4] |= static_cast<unsigned>(scales[g]) << (g % 4 * 3);
    const int down = (groups[g].moves / 2) << 3 | (groups[g].moves % 2) << 7;
    block.high[g] = static_cast<std::uint8_t>(block.high[g] | down);
  }
  const float fitted = fitted_iq1_scale(x, w, groups, scales, unit) * 1.1125f;
  const unsigned half = float_to_half(fitted);
  for (int k = 0; k < 4; ++k) {
    const unsigned word = words[k] | ((half >> (4 * k)) & 15) << 12;
    store_at(block.scales + 2 * k, static_cast<std::uint16_t>(word));
  }
}

template <class F, class Search, class B>
std::size_t quantize_iq1_weighted(const float* src, const float* importance, std::byte* dst,
                                  std::size_t n) {
  return in_batches<B, 1>(src, dst, n, [&](std::size_t first, const float* x, B* block) {
    quantize_iq1_block<F, Search>(x, importance == nullptr ? nullptr : importance + first, *block);
  });
}

template <class F, class Search, class B>
std::size_t quantize_iq1(const float* src, std::byte* dst, std::size_t n) {
  return quantize_iq1_weighted<F, Search, B>(src, nullptr, dst, n);
}

}  // namespace
}  // namespace ggmlkit
