// One group of columns of several rows, a row in each lane: what a scale costs it, and how its
// codes and its scale are improved.
//
// Errors e of a row cost e H e'. With H = U D U', U unit upper triangular, that is the sum over
// columns j of D_j · (x_j - v_j)², where v_j is the stored value and x_j the weight plus
// U_ij · e_i of all columns i before: columns are rounded one after another, each making good for
// the errors before it. (LDLQ of QuIP, https://arxiv.org/abs/2307.13304, which shows that it
// equals GPTQ, https://arxiv.org/abs/2210.17323.)
#pragma once

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// value = scale · level - min.
template <class F>
struct Scaling {
  F scale;
  F min;
};

// The inverse, and 0 of 0: then all levels are those nearest to 0.
template <class F>
F inverse_of(F scale) {
  const F zero = F::all(0.0f);
  return F::select(scale != zero, F::all(1.0f) / scale, zero);
}

// A group before it is rounded.
template <class F, int N>
struct GroupTask {
  F x[N];                 // the weights, with what the errors before the group add
  const float* weights;   // [N][lanes]
  const float* upper;     // [N][N] of U; null: errors add nothing
  const float* diagonal;  // [N] of D
};

// A group that is rounded.
template <class F, int N>
struct RoundedGroup {
  F level[N];
  F error[N];  // weight - value
};

// Rounds a group; returns what that costs.
template <class L, class F, int N>
F round_group(const GroupTask<F, N>& task, const Scaling<F>& s, RoundedGroup<F, N>& out) {
  F x[N];
  for (int i = 0; i < N; ++i) x[i] = task.x[i];
  const F inverse = inverse_of(s.scale);
  F cost = F::all(0.0f);
  for (int i = 0; i < N; ++i) {
    out.level[i] = L::nearest((x[i] + s.min) * inverse);
    const F value = s.scale * out.level[i] - s.min;
    const F difference = x[i] - value;
    cost = cost + F::all(task.diagonal[i]) * difference * difference;
    out.error[i] = F::load(task.weights + i * F::count) - value;
    if (task.upper == nullptr) continue;
    const float* u = task.upper + i * N;
    for (int j = i + 1; j < N; ++j) x[j] = x[j] + F::all(u[j]) * out.error[i];
  }
  return cost;
}

// The cheapest of several scalings.
template <class L, class F, int N>
class Trials {
 public:
  explicit Trials(const GroupTask<F, N>& task) : task_(task) {}

  void consider(const Scaling<F>& s) {
    RoundedGroup<F, N> rounded;
    const F cost = round_group<L>(task_, s, rounded);
    if (is_first_) {
      best_ = s;
      least_ = cost;
      is_first_ = false;
      return;
    }
    const auto better = cost < least_;
    least_ = F::select(better, cost, least_);
    best_.scale = F::select(better, s.scale, best_.scale);
    best_.min = F::select(better, s.min, best_.min);
  }
  const Scaling<F>& best() const { return best_; }

 private:
  const GroupTask<F, N>& task_;
  Scaling<F> best_{};
  F least_{};
  bool is_first_ = true;
};

// Importances of the group's columns, in all lanes.
template <class F, int N>
void load_importances(const float* diagonal, F (&w)[N]) {
  for (int i = 0; i < N; ++i) w[i] = F::all(diagonal[i]);
}

// A rounded group, and H as it acts within it.
template <class F, int N>
class Descent {
 public:
  // `gradient` is E·H of its columns, `hessian` [N][N].
  Descent(RoundedGroup<F, N>& group, F (&gradient)[N], const float* hessian)
      : group_(group), gradient_(gradient), hessian_(hessian) {}

  // Gives each column in turn the level that costs least beside the others'.
  template <class L>
  void move_levels(const Scaling<F>& s) {
    const F inverse = inverse_of(s.scale);
    for (int i = 0; i < N; ++i) {
      const F value = s.scale * group_.level[i] - s.min;
      const F wanted = value + gradient_[i] * F::all(1.0f / at(i, i));
      group_.level[i] = L::nearest((wanted + s.min) * inverse);
      move(i, s.scale * group_.level[i] - s.min - value);
    }
  }

  // What to add to the scale so that the levels as they are cost least.
  F scale_step() const {
    F along = F::all(0.0f);
    for (int i = 0; i < N; ++i) along = along + gradient_[i] * group_.level[i];
    return quotient(along, curvature(group_.level));
  }
  // The same for the minimum.
  F min_step() const {
    F along = F::all(0.0f);
    float curved = 0.0f;
    for (int i = 0; i < N; ++i) {
      along = along - gradient_[i];
      for (int j = 0; j < N; ++j) curved += at(i, j);
    }
    return quotient(along, F::all(curved));
  }

  // Takes another scaling where that costs less. Returns the one that is taken.
  Scaling<F> rescale(const Scaling<F>& from, const Scaling<F>& to) {
    const F zero = F::all(0.0f);
    F step[N];
    F along = zero;
    for (int i = 0; i < N; ++i) {
      step[i] = (to.scale - from.scale) * group_.level[i] - (to.min - from.min);
      along = along + gradient_[i] * step[i];
    }
    const auto better = curvature(step) < along + along;
    if (!F::any(better)) return from;
    for (int i = 0; i < N; ++i) move(i, F::select(better, step[i], zero));
    return {F::select(better, to.scale, from.scale), F::select(better, to.min, from.min)};
  }

 private:
  float at(int i, int j) const { return hessian_[i * N + j]; }

  void move(int i, F by) {
    group_.error[i] = group_.error[i] - by;
    for (int j = 0; j < N; ++j) gradient_[j] = gradient_[j] - by * F::all(at(i, j));
  }

  F curvature(const F (&v)[N]) const {
    F sum = F::all(0.0f);
    for (int i = 0; i < N; ++i) {
      F row = F::all(0.0f);
      for (int j = 0; j < N; ++j) row = row + F::all(at(i, j)) * v[j];
      sum = sum + v[i] * row;
    }
    return sum;
  }

  static F quotient(F a, F b) {
    const F zero = F::all(0.0f);
    return F::select(b > zero, a / b, zero);
  }

  RoundedGroup<F, N>& group_;
  F (&gradient_)[N];
  const float* hessian_;
};

}  // namespace
}  // namespace ggmlkit
