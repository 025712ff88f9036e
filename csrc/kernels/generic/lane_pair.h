// Two vectors as one: searches wait for their own results most of the time, and the second fills
// that. See one_lane.h for what each function does.
#pragma once

#include <cstdint>

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

template <class F>
struct LanePair {
  static constexpr int count = 2 * F::count;
  using Part = typename F::Part;
  struct Mask {
    typename F::Mask a;
    typename F::Mask b;
  };

  F a;
  F b;

  static LanePair all(float x) { return {F::all(x), F::all(x)}; }
  static LanePair load(const float* p) { return {F::load(p), F::load(p + F::count)}; }
  void store(float* p) const {
    a.store(p);
    b.store(p + F::count);
  }
  void store_bytes(std::uint8_t* p) const {
    a.store_bytes(p);
    b.store_bytes(p + F::count);
  }
  template <int N>
  static void load_groups(const float* x, LanePair* out) {
    F first[N];
    F second[N];
    F::template load_groups<N>(x, first);
    F::template load_groups<N>(x + F::count * N, second);
    for (int i = 0; i < N; ++i) out[i] = {first[i], second[i]};
  }

  friend LanePair operator+(LanePair x, LanePair y) { return {x.a + y.a, x.b + y.b}; }
  friend LanePair operator-(LanePair x, LanePair y) { return {x.a - y.a, x.b - y.b}; }
  friend LanePair operator*(LanePair x, LanePair y) { return {x.a * y.a, x.b * y.b}; }
  friend LanePair operator/(LanePair x, LanePair y) { return {x.a / y.a, x.b / y.b}; }
  friend LanePair operator-(LanePair x) { return {-x.a, -x.b}; }
  friend Mask operator<(LanePair x, LanePair y) { return {x.a < y.a, x.b < y.b}; }
  friend Mask operator>(LanePair x, LanePair y) { return {x.a > y.a, x.b > y.b}; }
  friend Mask operator!=(LanePair x, LanePair y) { return {x.a != y.a, x.b != y.b}; }
  static Mask both(Mask x, Mask y) { return {F::both(x.a, y.a), F::both(x.b, y.b)}; }
  static bool any(Mask m) { return F::any(m.a) || F::any(m.b); }
  static LanePair select(Mask m, LanePair yes, LanePair no) {
    return {F::select(m.a, yes.a, no.a), F::select(m.b, yes.b, no.b)};
  }
  static LanePair absolute(LanePair x) { return {F::absolute(x.a), F::absolute(x.b)}; }
  static LanePair root(LanePair x) { return {F::root(x.a), F::root(x.b)}; }
  static LanePair nearest(LanePair x, int low, int high) {
    return {F::nearest(x.a, low, high), F::nearest(x.b, low, high)};
  }
};

}  // namespace
}  // namespace ggmlkit
