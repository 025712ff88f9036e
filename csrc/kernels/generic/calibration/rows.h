// Calibrated rounding of a few rows, one in each lane: group after group with the errors carried
// over, then rounds of descent. See group.h for the arithmetic and scales.h for the types.
#pragma once

#include <vector>

#include "kernels/generic/calibration/scales.h"
#include "kernels/kernel_table.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// sums[j] += errors[k] · panel[k][j] over n rows of a panel of N columns.
template <class F, int N>
void add_errors(const float* errors, const float* panel, std::size_t n, F (&sums)[N]) {
  constexpr int width = 4;  // sums that stay in registers
  constexpr std::size_t part = 128;
  for (std::size_t first = 0; first < n; first += part) {
    const std::size_t end = first + part < n ? first + part : n;
    for (int j = 0; j < N; j += width) {
      F sum[width];
      for (int i = 0; i < width; ++i) sum[i] = sums[j + i];
      for (std::size_t k = first; k < end; ++k) {
        const F error = F::load(errors + k * F::count);
        const float* row = panel + k * N + j;
        for (int i = 0; i < width; ++i) sum[i] = sum[i] + F::all(row[i]) * error;
      }
      for (int i = 0; i < width; ++i) sums[j + i] = sum[i];
    }
  }
}

template <class F, class T>
class CalibratedRows {
 public:
  static constexpr int N = T::group;
  static constexpr int groups = T::size / N;

  // `rows` ≤ F::count rows of floats. `scratch` has room for 3 · cols · F::count floats.
  CalibratedRows(const Calibration& c, const float* weights, std::size_t rows, float* scratch)
      : c_(c),
        rows_(rows),
        weights_(scratch),
        errors_(weights_ + c.cols * F::count),
        levels_(errors_ + c.cols * F::count),
        scales_(c.cols / T::size) {
    for (std::size_t p = 0; p < c.cols; ++p) {
      float* column = weights_ + p * F::count;
      for (std::size_t r = 0; r < F::count; ++r) {
        column[r] = r < rows ? weights[r * c.cols + c.order[p]] : 0.0f;
      }
    }
  }

  void round(std::byte* dst, std::size_t row_bytes) {
    for (std::size_t b = 0; b < scales_.size(); ++b) round_block(b);
    for (int pass = 0; pass < c_.passes; ++pass) {
      for (std::size_t g = 0; g < scales_.size() * groups; ++g) descend(g);
    }
    for (std::size_t r = 0; r < rows_; ++r) store(static_cast<int>(r), dst + r * row_bytes);
  }

 private:
  const float* upper(std::size_t g) const {
    // Panel g has the (g + 1) · N rows down to its own columns'.
    return c_.upper == nullptr ? nullptr : c_.upper + g * (g + 1) / 2 * N * N;
  }

  void round_block(std::size_t b) {
    const std::size_t first = b * T::size;
    F x[T::size];
    for (int j = 0; j < T::size; ++j) x[j] = F::load(weights_ + (first + j) * F::count);
    for (int g = 0; g < groups; ++g) add_up(b, g, 0, first, x);
    T::propose(x, c_.diagonal + first, scales_[b]);
    for (int g = 0; g < groups; ++g) {
      const std::size_t at = b * groups + g;
      const std::size_t column = at * N;
      if (g > 0) add_up(b, g, first, column, x);
      GroupTask<F, N> task;
      for (int i = 0; i < N; ++i) task.x[i] = x[g * N + i];
      task.weights = weights_ + column * F::count;
      task.upper = upper(at) == nullptr ? nullptr : upper(at) + column * N;
      task.diagonal = c_.diagonal + column;
      T::choose(g, task, scales_[b]);
      RoundedGroup<F, N> rounded;
      round_group<typename T::Levels>(task, T::scaling(g, scales_[b]), rounded);
      keep(at, rounded);
    }
  }

  // What the errors of columns from `begin` to `end` add to group g of block b.
  void add_up(std::size_t b, int g, std::size_t begin, std::size_t end, F* x) const {
    const float* panel = upper(b * groups + g);
    if (panel == nullptr || begin == end) return;
    F(&sums)[N] = *reinterpret_cast<F(*)[N]>(x + g * N);
    add_errors<F, N>(errors_ + begin * F::count, panel + begin * N, end - begin, sums);
  }

  void descend(std::size_t at) {
    const std::size_t column = at * N;
    const float* panel = c_.hessian + at * c_.cols * N;
    F gradient[N];
    RoundedGroup<F, N> group;
    for (int i = 0; i < N; ++i) {
      gradient[i] = F::all(0.0f);
      group.level[i] = F::load(levels_ + (column + i) * F::count);
      group.error[i] = F::load(errors_ + (column + i) * F::count);
    }
    add_errors<F, N>(errors_, panel, c_.cols, gradient);
    const int g = static_cast<int>(at % groups);
    auto& scales = scales_[at / groups];
    Descent<F, N> descent(group, gradient, panel + column * N);
    descent.template move_levels<typename T::Levels>(T::scaling(g, scales));
    T::refit(g, descent, scales);
    // Small differences of large sums add up: the errors are what they are.
    const Scaling<F> s = T::scaling(g, scales);
    for (int i = 0; i < N; ++i) {
      group.error[i] =
          F::load(weights_ + (column + i) * F::count) - (s.scale * group.level[i] - s.min);
    }
    keep(at, group);
  }

  void keep(std::size_t at, const RoundedGroup<F, N>& group) {
    for (int i = 0; i < N; ++i) {
      group.level[i].store(levels_ + (at * N + i) * F::count);
      group.error[i].store(errors_ + (at * N + i) * F::count);
    }
  }

  void store(int row, std::byte* dst) const {
    for (std::size_t b = 0; b < scales_.size(); ++b) {
      std::uint8_t codes[T::size];
      const std::size_t first = b * T::size;
      const std::size_t place = c_.order[first] / T::size;
      for (int j = 0; j < T::size; ++j) {
        const float level = levels_[(first + j) * F::count + row];
        codes[c_.order[first + j] - place * T::size] = T::Levels::code(level);
      }
      T::store(scales_[b], row, codes, block_at<typename T::Block>(dst, place));
    }
  }

  const Calibration& c_;
  std::size_t rows_;
  float* weights_;
  float* errors_;
  float* levels_;
  std::vector<typename T::template Scales<F>> scales_;
};

template <class F, class T>
void calibrate_rows(const Calibration& c, const float* weights, std::size_t rows, std::byte* dst,
                    std::size_t row_bytes, float* scratch) {
  CalibratedRows<F, T>(c, weights, rows, scratch).round(dst, row_bytes);
}

template <class F>
void set_calibration(KernelTable& table) {
  table.calibrated_rows = F::count;
  const auto set = [&](Type type, auto kernel) {
    table.types[static_cast<std::size_t>(type)].calibrate = kernel;
  };
  set(Type::q4_0, calibrate_rows<F, PlainScale<SpecBlock<Q4_0>, EvenLevels<-8, 7>>>);
  set(Type::q5_0, calibrate_rows<F, PlainScale<SpecBlock<Q5_0>, EvenLevels<-16, 15>>>);
  set(Type::q8_0, calibrate_rows<F, PlainScale<SpecBlock<Q8_0>, EvenLevels<-127, 127>>>);
  set(Type::iq4_nl, calibrate_rows<F, PlainScale<Iq4Nl, NormalLevels>>);
  set(Type::q4_1, calibrate_rows<F, PlainRange<Q4_1>>);
  set(Type::q5_1, calibrate_rows<F, PlainRange<Q5_1>>);
  set(Type::mxfp4, calibrate_rows<F, PowerOfTwo>);
  set(Type::q3_K, calibrate_rows<F, SignedSuper<Q3K, EvenLevels<-4, 3>, -32, 31>>);
  set(Type::q6_K, calibrate_rows<F, SignedSuper<Q6K, EvenLevels<-32, 31>, -128, 127>>);
  set(Type::iq4_xs, calibrate_rows<F, SignedSuper<Iq4Xs, NormalLevels, -32, 31>>);
  set(Type::q2_K, calibrate_rows<F, RangedSuper<Q2K, 15>>);
  set(Type::q4_K, calibrate_rows<F, RangedSuper<Q4K, 63>>);
  set(Type::q5_K, calibrate_rows<F, RangedSuper<Q5K, 63>>);
}

}  // namespace
}  // namespace ggmlkit
