// The scales that each type can store, as calibrated rounding (walk.h) chooses them. A type says:
//   Block, Levels; size (columns of a block), group (of a scale)
//   Scales<F>        what a block's scales are, of a row in each lane
//   propose(x, diagonal, scales)    before its groups are rounded; x [size] in lanes
//   choose(g, task, scales)         the scaling of a group, by trials
//   scaling(g, scales)              the same, as stored
//   refit(g, descent, scales)       another scaling where that costs less
//   store(scales, lane, codes, block)
#pragma once

#include <algorithm>
#include <cmath>

#include "kernels/generic/calibration/group.h"
#include "kernels/generic/calibration/levels.h"
#include "kernels/generic/k_weighted_quantize.h"
#include "kernels/layouts/blocks.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

template <class F, class Function>
F of_lanes(F x, Function f) {
  float lanes[F::count];
  x.store(lanes);
  for (float& v : lanes) v = f(v);
  return F::load(lanes);
}

// As a float16 holds them; the greatest finite one beyond that.
template <class F>
F as_halves(F x) {
  return of_lanes(x, [](float v) {
    return half_to_float(float_to_half(std::min(std::max(v, -65504.0f), 65504.0f)));
  });
}

template <class F>
struct OneScale {
  Scaling<F> s;
};

// A float16 scale of either sign: q4_0, q5_0, q8_0, iq4_nl.
template <class B, class L>
struct PlainScale {
  using Block = B;
  using Levels = L;
  static constexpr int size = 32;
  static constexpr int group = 32;
  template <class F>
  using Scales = OneScale<F>;

  template <class F>
  static void propose(const F*, const float*, OneScale<F>&) {}

  // The group's extreme is mapped to around the lowest level and to around the highest in turn.
  template <class F>
  static void choose(int, const GroupTask<F, 32>& task, OneScale<F>& scales) {
    constexpr int trials = L::high > 100 && L::low < -126 && L::high == 127 ? 5 : 24;
    const F largest = extreme(task.x);
    Trials<L, F, 32> of(task);
    for (int t = 0; t < trials; ++t) {
      const float part = trials == 5 ? 0.98f + 0.005f * static_cast<float>(t)
                                     : 0.64f + 0.02f * static_cast<float>(t);
      of.consider({as_halves(largest * F::all(part / static_cast<float>(L::low))), F::all(0.0f)});
      of.consider({as_halves(largest * F::all(part / static_cast<float>(L::high))), F::all(0.0f)});
    }
    scales.s = of.best();
  }

  template <class F>
  static Scaling<F> scaling(int, const OneScale<F>& scales) {
    return scales.s;
  }

  template <class F>
  static void refit(int, Descent<F, 32>& descent, OneScale<F>& scales) {
    const Scaling<F> to = {as_halves(scales.s.scale + descent.scale_step()), scales.s.min};
    scales.s = descent.rescale(scales.s, to);
  }

  template <class F>
  static void store(const OneScale<F>& scales, int lane, const std::uint8_t* codes, B& block) {
    float scale[F::count];
    scales.s.scale.store(scale);
    if constexpr (std::is_same_v<B, Iq4Nl>) {
      store_half(block.d, scale[lane]);
      pack_planes<4, 16, 32>(codes, block.quants);
    } else {
      block.store(scale[lane], 0.0f, codes);
    }
  }
};

// A block of blocks.h as a struct.
template <class S>
struct SpecBlock {
  std::byte bytes[S::bytes];

  void store(float scale, float min, const std::uint8_t* codes) {
    int q[S::size];
    for (int j = 0; j < S::size; ++j) q[j] = S::bits == 8 ? codes[j] - 127 : codes[j];
    S::store_scale(bytes, scale);
    if constexpr (S::has_min) S::store_scale(bytes + S::scale_bytes, -min);
    pack_block<S>(q, bytes);
  }
};

// Float16 scale and minimum: q4_1, q5_1.
template <class S>
struct PlainRange {
  using Block = SpecBlock<S>;
  using Levels = EvenLevels<0, S::levels>;
  static constexpr int size = 32;
  static constexpr int group = 32;
  template <class F>
  using Scales = OneScale<F>;

  template <class F>
  static void propose(const F*, const float*, OneScale<F>&) {}

  // The range that fits best, and wider and narrower ones.
  template <class F>
  static void choose(int, const GroupTask<F, 32>& task, OneScale<F>& scales) {
    F w[32];
    F level[32];
    load_importances(task.diagonal, w);
    const GroupFit<F> fit = fit_range(task.x, w, weighted_trials(S::levels), level);
    const F range = fit.scale * F::all(static_cast<float>(S::levels));
    Trials<Levels, F, 32> of(task);
    of.consider(halves(fit.scale, fit.min));
    for (int low = -2; low <= 2; ++low) {
      for (int high = -2; high <= 2; ++high) {
        const F min = fit.min + range * F::all(0.04f * static_cast<float>(low));
        const F top = range - fit.min + range * F::all(0.04f * static_cast<float>(high));
        of.consider(halves((top + min) * F::all(1.0f / static_cast<float>(S::levels)), min));
      }
    }
    scales.s = of.best();
  }

  template <class F>
  static Scaling<F> scaling(int, const OneScale<F>& scales) {
    return scales.s;
  }

  template <class F>
  static void refit(int, Descent<F, 32>& descent, OneScale<F>& scales) {
    const F scale = scales.s.scale + descent.scale_step();
    scales.s = descent.rescale(scales.s, halves(scale, scales.s.min));
    const F min = scales.s.min + descent.min_step();
    scales.s = descent.rescale(scales.s, halves(scales.s.scale, min));
  }

  template <class F>
  static void store(const OneScale<F>& scales, int lane, const std::uint8_t* codes, Block& block) {
    float scale[F::count];
    float min[F::count];
    scales.s.scale.store(scale);
    scales.s.min.store(min);
    block.store(scale[lane], min[lane], codes);
  }

 private:
  template <class F>
  static Scaling<F> halves(F scale, F min) {
    return {as_halves(scale), as_halves(min)};
  }
};

// A power of two: mxfp4.
struct PowerOfTwo {
  using Block = Mxfp4;
  using Levels = E2M1Levels;
  static constexpr int size = 32;
  static constexpr int group = 32;
  template <class F>
  using Scales = OneScale<F>;

  template <class F>
  static void propose(const F*, const float*, OneScale<F>&) {}

  template <class F>
  static void choose(int, const GroupTask<F, 32>& task, OneScale<F>& scales) {
    const F largest = F::absolute(extreme(task.x));
    Trials<Levels, F, 32> of(task);
    for (int by = -1; by <= 1; ++by) {
      const auto unit = [by](float v) {
        const int exponent = mxfp4_exponent(v) + (v > 0.0f ? by : 0);
        return half_of_e8m0(static_cast<std::uint8_t>(std::min(std::max(exponent, 0), 254)));
      };
      of.consider({of_lanes(largest, unit), F::all(0.0f)});
    }
    scales.s = of.best();
  }

  template <class F>
  static Scaling<F> scaling(int, const OneScale<F>& scales) {
    return scales.s;
  }

  template <class F>
  static void refit(int, Descent<F, 32>&, OneScale<F>&) {}

  template <class F>
  static void store(const OneScale<F>& scales, int lane, const std::uint8_t* codes, Block& block) {
    float unit[F::count];
    scales.s.scale.store(unit);
    std::uint8_t e = 0;
    while (half_of_e8m0(e) < unit[lane]) ++e;
    block.exponent = e;
    pack_planes<4, 16, 32>(codes, block.quants);
  }
};

// Integer scales of either sign, times a float16: q3_K, q6_K, iq4_xs.
template <class F, int Groups>
struct SignedScales {
  F d;
  F integer[Groups];
};

template <class B, class L, int Low, int High>
struct SignedSuper {
  using Block = B;
  using Levels = L;
  static constexpr int size = B::size;
  static constexpr int group = B::group;
  static constexpr int groups = size / group;
  template <class F>
  using Scales = SignedScales<F, groups>;

  template <class F>
  static void propose(const F* x, const float* diagonal, Scales<F>& scales) {
    float found[groups][F::count];
    float sums[groups];
    for (int g = 0; g < groups; ++g) {
      F lanes[group];
      F w[group];
      for (int i = 0; i < group; ++i) lanes[i] = x[g * group + i];
      load_importances(diagonal + g * group, w);
      sums[g] = 0.0f;
      for (int i = 0; i < group; ++i) sums[g] += diagonal[g * group + i];
      fit(lanes, w).store(found[g]);
    }
    float d[F::count];
    float integer[groups][F::count];
    for (int lane = 0; lane < F::count; ++lane) {
      OneLane scale[groups];
      OneLane weight[groups];
      OneLane level[groups];
      for (int g = 0; g < groups; ++g) scale[g] = {found[g][lane]};
      for (int g = 0; g < groups; ++g) weight[g] = {sums[g]};
      d[lane] = fit_signed(scale, weight, -Low, level).v;
      for (int g = 0; g < groups; ++g) integer[g][lane] = level[g].v + static_cast<float>(Low);
    }
    scales.d = as_halves(F::load(d));
    for (int g = 0; g < groups; ++g) scales.integer[g] = F::load(integer[g]);
  }

  template <class F>
  static void choose(int g, const GroupTask<F, group>& task, Scales<F>& scales) {
    Trials<L, F, group> of(task);
    const F before = scales.integer[g];
    for (int by = -2; by <= 2; ++by) {
      of.consider({scales.d * F::nearest(before + F::all(static_cast<float>(by)), Low, High),
                   F::all(0.0f)});
    }
    scales.integer[g] = F::nearest(of.best().scale * inverse_of(scales.d), Low, High);
  }

  template <class F>
  static Scaling<F> scaling(int g, const Scales<F>& scales) {
    return {scales.d * scales.integer[g], F::all(0.0f)};
  }

  template <class F>
  static void refit(int g, Descent<F, group>& descent, Scales<F>& scales) {
    const Scaling<F> from = scaling(g, scales);
    const F inverse = inverse_of(scales.d);
    const F to = F::nearest((from.scale + descent.scale_step()) * inverse, Low, High);
    const Scaling<F> taken = descent.rescale(from, {scales.d * to, from.min});
    scales.integer[g] = F::nearest(taken.scale * inverse, Low, High);
  }

  template <class F>
  static void store(const Scales<F>& scales, int lane, const std::uint8_t* codes, B& block) {
    float values[F::count];
    std::uint8_t shifted[groups];
    scales.d.store(values);
    store_half(block.d, values[lane]);
    for (int g = 0; g < groups; ++g) {
      scales.integer[g].store(values);
      shifted[g] = static_cast<std::uint8_t>(static_cast<int>(values[lane]) - Low);
    }
    if constexpr (std::is_same_v<B, Q6K>) {
      for (int g = 0; g < groups; ++g)
        block.scales[g] = static_cast<std::uint8_t>(shifted[g] + Low);
      block.pack(codes);
    } else if constexpr (std::is_same_v<B, Q3K>) {
      block.pack_scales(shifted);
      block.pack(codes);
    } else {
      block.pack_scales(shifted);
      for (int g = 0; g < groups; ++g) {
        pack_planes<4, 16, 32>(codes + 32 * g, block.quants + 16 * g);
      }
    }
  }

 private:
  template <class F>
  static F fit(const F (&x)[group], const F (&w)[group]) {
    if constexpr (std::is_same_v<L, NormalLevels>) {
      return fit_values(x, w);
    } else {
      F level[group];
      return fit_signed(x, w, -L::low, level);
    }
  }
};

// Integer scales and minima, times a float16 each: q2_K, q4_K, q5_K.
template <class F, int Groups>
struct RangedScales {
  F d;
  F dmin;
  F scale[Groups];
  F min[Groups];
};

template <class B, int Top>
struct RangedSuper {
  using Block = B;
  using Levels = EvenLevels<0, B::levels>;
  static constexpr int size = B::size;
  static constexpr int group = B::group;
  static constexpr int groups = size / group;
  template <class F>
  using Scales = RangedScales<F, groups>;

  template <class F>
  static void propose(const F* x, const float* diagonal, Scales<F>& scales) {
    float scale[groups][F::count];
    float min[groups][F::count];
    float sums[groups];
    for (int g = 0; g < groups; ++g) {
      F lanes[group];
      F w[group];
      F level[group];
      for (int i = 0; i < group; ++i) lanes[i] = x[g * group + i];
      load_importances(diagonal + g * group, w);
      sums[g] = 0.0f;
      for (int i = 0; i < group; ++i) sums[g] += diagonal[g * group + i];
      const GroupFit<F> fit = fit_range(lanes, w, weighted_trials(B::levels), level);
      fit.scale.store(scale[g]);
      fit.min.store(min[g]);
    }
    scales.d = shared_unit(scale, sums, scales.scale);
    scales.dmin = shared_unit(min, sums, scales.min);
  }

  template <class F>
  static void choose(int g, const GroupTask<F, group>& task, Scales<F>& scales) {
    Trials<Levels, F, group> of(task);
    const F scale = scales.scale[g];
    const F min = scales.min[g];
    for (int by = -2; by <= 2; ++by) {
      for (int to = -1; to <= 1; ++to) {
        of.consider({scales.d * whole(scale + F::all(static_cast<float>(by))),
                     scales.dmin * whole(min + F::all(static_cast<float>(to)))});
      }
    }
    take(g, of.best(), scales);
  }

  template <class F>
  static Scaling<F> scaling(int g, const Scales<F>& scales) {
    return {scales.d * scales.scale[g], scales.dmin * scales.min[g]};
  }

  template <class F>
  static void refit(int g, Descent<F, group>& descent, Scales<F>& scales) {
    const F unit = inverse_of(scales.d);
    const F min_unit = inverse_of(scales.dmin);
    Scaling<F> s = scaling(g, scales);
    const F scale = scales.d * whole((s.scale + descent.scale_step()) * unit);
    s = descent.rescale(s, {scale, s.min});
    const F min = scales.dmin * whole((s.min + descent.min_step()) * min_unit);
    take(g, descent.rescale(s, {s.scale, min}), scales);
  }

  template <class F>
  static void store(const Scales<F>& scales, int lane, const std::uint8_t* codes, B& block) {
    float values[F::count];
    std::uint8_t scale[groups];
    std::uint8_t min[groups];
    scales.d.store(values);
    store_half(block.d, values[lane]);
    scales.dmin.store(values);
    store_half(block.dmin, values[lane]);
    for (int g = 0; g < groups; ++g) {
      scales.scale[g].store(values);
      scale[g] = static_cast<std::uint8_t>(values[lane]);
      scales.min[g].store(values);
      min[g] = static_cast<std::uint8_t>(values[lane]);
    }
    if constexpr (std::is_same_v<B, Q2K>) {
      for (int g = 0; g < groups; ++g) {
        block.scales[g] = static_cast<std::uint8_t>(scale[g] | (min[g] << 4));
      }
    } else {
      block.scales.set(scale, min);
    }
    block.pack(codes);
  }

 private:
  template <class F>
  static F whole(F x) {
    return F::nearest(x, 0, Top);
  }

  template <class F>
  static void take(int g, const Scaling<F>& s, Scales<F>& scales) {
    scales.scale[g] = whole(s.scale * inverse_of(scales.d));
    scales.min[g] = whole(s.min * inverse_of(scales.dmin));
  }

  // Numbers that are not negative as integers times one float16.
  template <class Lanes, class F>
  static F shared_unit(const Lanes& numbers, const float* sums, F (&integers)[groups]) {
    float unit[F::count];
    float found[groups][F::count];
    for (int lane = 0; lane < F::count; ++lane) {
      float x[groups];
      std::uint8_t level[groups];
      for (int g = 0; g < groups; ++g) x[g] = std::max(numbers[g][lane], 0.0f);
      unit[lane] = PositiveFit<groups>(x, sums, Top).fit(level);
      for (int g = 0; g < groups; ++g) {
        found[g][lane] = static_cast<float>(std::min<int>(level[g], Top));
      }
    }
    for (int g = 0; g < groups; ++g) integers[g] = F::load(found[g]);
    return as_halves(F::load(unit));
  }
};

}  // namespace
}  // namespace ggmlkit
