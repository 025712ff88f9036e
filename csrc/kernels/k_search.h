// The searches for a group's scale that define the k-quants of llama.cpp (its reference
// quantizers): a handful of trial scales, the levels each gives, and the scale that fits these
// levels best.
//
// Templates over a vector F (one_lane.h) whose lanes are groups. Every lane computes the
// reference's floats in the reference's order, so the bits are the same for any number of lanes.
#pragma once

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// Groups below this magnitude are zero.
constexpr float kNothing = 1e-15f;

// x ≈ scale · level - min.
template <class F>
struct GroupFit {
  F scale;
  F min;
};

// What the trials of one type are: the k-th maps the range of a group to levels + first + k · step.
struct RangedTrials {
  int levels;
  float first;
  float step;
  int count;
  bool squares;  // errors are squared, or taken as they are
};

// Those of every type that is told the importance of columns.
constexpr RangedTrials weighted_trials(int levels) { return {levels, -0.9f, 0.05f, 37, true}; }

template <class F>
F weighed_error(F w, F difference, bool squares) {
  return w * (squares ? difference * difference : F::absolute(difference));
}

// Least squares with the minimum free, but never above zero. Fills `level`.
template <class F, int N>
GroupFit<F> fit_range(const F (&x)[N], const F (&w)[N], const RangedTrials& trials, F (&level)[N]) {
  const F zero = F::all(0.0f);
  F low = x[0];
  F high = x[0];
  F sum_w = w[0];
  F sum_x = w[0] * x[0];
  for (int i = 1; i < N; ++i) {
    low = F::select(x[i] < low, x[i], low);
    high = F::select(x[i] > high, x[i], high);
    sum_w = sum_w + w[i];
    sum_x = sum_x + w[i] * x[i];
  }
  low = F::select(low > zero, zero, low);
  const auto spread = high != low;

  // Levels come of the range from a minimum to the highest; each trial's is that of the best so
  // far.
  F level_inverse = F::all(static_cast<float>(trials.levels)) / (high - low);
  F level_min = low;
  GroupFit<F> best = {F::all(1.0f) / level_inverse, low};
  F best_error = zero;
  for (int i = 0; i < N; ++i) {
    level[i] = F::nearest(level_inverse * (x[i] - low), 0, trials.levels);
    const F difference = best.scale * level[i] + low - x[i];
    best_error = best_error + weighed_error(w[i], difference, trials.squares);
  }
  for (int t = 0; t < trials.count; ++t) {
    const float wide = trials.first + trials.step * static_cast<float>(t);
    const F from = best.min;
    const F inverse = F::all(wide + static_cast<float>(trials.levels)) / (high - from);
    F sum_l = zero;
    F sum_l2 = zero;
    F sum_xl = zero;
    for (int i = 0; i < N; ++i) {
      level[i] = F::nearest(inverse * (x[i] - from), 0, trials.levels);
      const F wl = w[i] * level[i];
      sum_l = sum_l + wl;
      sum_l2 = sum_l2 + wl * level[i];
      sum_xl = sum_xl + wl * x[i];
    }
    const F determinant = sum_w * sum_l2 - sum_l * sum_l;
    F scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
    F min = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
    const auto above_zero = min > zero;
    scale = F::select(above_zero, sum_xl / sum_l2, scale);
    min = F::select(above_zero, zero, min);
    F error = zero;
    for (int i = 0; i < N; ++i) {
      const F difference = scale * level[i] + min - x[i];
      error = error + weighed_error(w[i], difference, trials.squares);
    }
    const auto better = F::both(determinant > zero, error < best_error);
    best_error = F::select(better, error, best_error);
    best.scale = F::select(better, scale, best.scale);
    best.min = F::select(better, min, best.min);
    level_inverse = F::select(better, inverse, level_inverse);
    level_min = F::select(better, from, level_min);
  }
  for (int i = 0; i < N; ++i) {
    const F l = F::nearest(level_inverse * (x[i] - level_min), 0, trials.levels);
    level[i] = F::select(spread, l, zero);
  }
  return {F::select(spread, best.scale, zero), -F::select(spread, best.min, low)};
}

// The element of largest magnitude, the first of equals; zero where all are nearly so.
template <class F, int N>
F extreme(const F (&x)[N]) {
  F magnitude = F::all(0.0f);
  F found = F::all(0.0f);
  for (int i = 0; i < N; ++i) {
    const F a = F::absolute(x[i]);
    const auto larger = a > magnitude;
    magnitude = F::select(larger, a, magnitude);
    found = F::select(larger, x[i], found);
  }
  return F::select(magnitude < F::all(kNothing), F::all(0.0f), found);
}

// Levels from -half to half - 1, moved to begin at 0; all 0 in groups that hold nothing.
template <class F, int N>
void shift_levels(F (&level)[N], int half, typename F::Mask something) {
  const F shift = F::all(static_cast<float>(half));
  for (F& l : level) l = F::select(something, l + shift, F::all(0.0f));
}

// The scale of least squares without a minimum, for levels from -half to half - 1. Fills `level`,
// moved to begin at 0.
template <class F, int N>
F fit_signed(const F (&x)[N], const F (&w)[N], int half, F (&level)[N]) {
  const F zero = F::all(0.0f);
  const F largest = extreme(x);
  F sum_xl;
  F sum_l2;
  const auto add_up = [&](F inverse) {
    sum_xl = zero;
    sum_l2 = zero;
    for (int i = 0; i < N; ++i) {
      const F l = F::nearest(inverse * x[i], -half, half - 1);
      sum_xl = sum_xl + w[i] * x[i] * l;
      sum_l2 = sum_l2 + w[i] * l * l;
    }
  };
  F best_inverse = F::all(-static_cast<float>(half)) / largest;
  add_up(best_inverse);
  F best_scale = F::select(sum_l2 != zero, sum_xl / sum_l2, zero);
  F best_gain = best_scale * sum_xl;
  for (int t = -9; t <= 9; ++t) {
    if (t == 0) continue;
    const float wide = static_cast<float>(half) + 0.1f * static_cast<float>(t);
    const F inverse = F::all(-wide) / largest;
    add_up(inverse);
    const auto better = F::both(sum_l2 > zero, sum_xl * sum_xl > best_gain * sum_l2);
    const F scale = sum_xl / sum_l2;
    best_scale = F::select(better, scale, best_scale);
    best_gain = F::select(better, scale * sum_xl, best_gain);
    best_inverse = F::select(better, inverse, best_inverse);
  }
  for (int i = 0; i < N; ++i) level[i] = F::nearest(best_inverse * x[i], -half, half - 1);
  const auto something = largest != zero;
  shift_levels(level, half, something);
  return F::select(something, best_scale, zero);
}

// The same by another search: levels are moved one by one while that fits better, five times over
// at most. Weights are the squares of x.
template <class F, int N>
F fit_by_steps(const F (&x)[N], int half, F (&level)[N]) {
  const F zero = F::all(0.0f);
  const F largest = extreme(x);
  const F inverse = F::all(-static_cast<float>(half)) / largest;
  F w[N];
  F wx[N];
  F sum_xl = zero;
  F sum_l2 = zero;
  for (int i = 0; i < N; ++i) {
    w[i] = x[i] * x[i];
    wx[i] = w[i] * x[i];
    level[i] = F::nearest(inverse * x[i], -half, half - 1);
    sum_xl = sum_xl + wx[i] * level[i];
    sum_l2 = sum_l2 + w[i] * level[i] * level[i];
  }
  for (int round = 0; round < 5; ++round) {
    bool changed = false;
    for (int i = 0; i < N; ++i) {
      const F others_xl = sum_xl - wx[i] * level[i];
      const F others_l2 = sum_l2 - w[i] * level[i] * level[i];
      const F moved = F::nearest(x[i] * others_l2 / others_xl, -half, half - 1);
      const F xl = others_xl + wx[i] * moved;
      const F l2 = others_l2 + w[i] * moved * moved;
      // Where a level stays, the sums might still change by a rounding.
      const auto moves = F::both(others_xl > zero, moved != level[i]);
      const auto fits = F::both(l2 > zero, xl * xl * sum_l2 > sum_xl * sum_xl * l2);
      const auto better = F::both(moves, fits);
      level[i] = F::select(better, moved, level[i]);
      sum_xl = F::select(better, xl, sum_xl);
      sum_l2 = F::select(better, l2, sum_l2);
      changed |= F::any(better);
    }
    if (!changed) break;
  }
  const auto something = largest != zero;
  shift_levels(level, half, something);
  const F scale = F::select(sum_l2 > zero, sum_xl / sum_l2, zero);
  return F::select(something, scale, zero);
}

}  // namespace
}  // namespace ggmlkit
