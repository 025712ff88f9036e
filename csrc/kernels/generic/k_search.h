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

// x ≈ scale · level + base.
template <class F>
struct Line {
  F scale;
  F base;
};

// Where levels begin, and how many a unit of x holds.
template <class F>
struct Range {
  F from;
  F inverse;
};

template <class F, int N>
void find_levels(const F (&x)[N], const Range<F>& range, int top, F (&level)[N]) {
  for (int i = 0; i < N; ++i) {
    level[i] = F::nearest(range.inverse * (x[i] - range.from), 0, top);
  }
}

template <class F, int N>
F error_of(const Line<F>& line, const F (&x)[N], const F (&w)[N], const F (&level)[N],
           bool squares) {
  F error = F::all(0.0f);
  for (int i = 0; i < N; ++i) {
    const F difference = line.scale * level[i] + line.base - x[i];
    error = error + w[i] * (squares ? difference * difference : F::absolute(difference));
  }
  return error;
}

// The line of least squares whose base is not above zero, given the sums of w and of w · x. False
// in lanes where there is none.
template <class F, int N>
typename F::Mask fit_line(const F (&x)[N], const F (&w)[N], const F (&level)[N], F sum_w, F sum_x,
                          Line<F>& line) {
  const F zero = F::all(0.0f);
  F sum_l = zero;
  F sum_l2 = zero;
  F sum_xl = zero;
  for (int i = 0; i < N; ++i) {
    const F wl = w[i] * level[i];
    sum_l = sum_l + wl;
    sum_l2 = sum_l2 + wl * level[i];
    sum_xl = sum_xl + wl * x[i];
  }
  const F determinant = sum_w * sum_l2 - sum_l * sum_l;
  const F scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
  const F base = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
  const auto above = base > zero;
  line.scale = F::select(above, sum_xl / sum_l2, scale);
  line.base = F::select(above, zero, base);
  return determinant > zero;
}

// The line that fits best of those through the levels of each trial. Fills `level`.
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

  Range<F> best_range = {low, F::all(static_cast<float>(trials.levels)) / (high - low)};
  Line<F> best = {F::all(1.0f) / best_range.inverse, low};
  find_levels(x, best_range, trials.levels, level);
  F best_error = error_of(best, x, w, level, trials.squares);
  for (int t = 0; t < trials.count; ++t) {
    // The base of the best so far is where the next levels begin.
    const float wide = trials.first + trials.step * static_cast<float>(t);
    const F reach = F::all(wide + static_cast<float>(trials.levels));
    const Range<F> range = {best.base, reach / (high - best.base)};
    find_levels(x, range, trials.levels, level);
    Line<F> line;
    const auto fits = fit_line(x, w, level, sum_w, sum_x, line);
    const F error = error_of(line, x, w, level, trials.squares);
    const auto better = F::both(fits, error < best_error);
    best_error = F::select(better, error, best_error);
    best.scale = F::select(better, line.scale, best.scale);
    best.base = F::select(better, line.base, best.base);
    best_range.from = F::select(better, range.from, best_range.from);
    best_range.inverse = F::select(better, range.inverse, best_range.inverse);
  }
  find_levels(x, best_range, trials.levels, level);
  for (F& l : level) l = F::select(spread, l, zero);
  return {F::select(spread, best.scale, zero), -F::select(spread, best.base, low)};
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
