// Float32 to q4_0, q4_1, q5_0 and q5_1 where columns differ in importance, as llama.cpp's
// quantizers with an importance matrix define them. Lanes of the vector F are blocks.
#pragma once

#include "kernels/generic/importance.h"
#include "kernels/generic/k_search.h"
#include "kernels/layouts/blocks.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

template <class S>
struct BlockOf {
  static constexpr int size = S::size;
  std::byte bytes[S::bytes];
};

// What was found for F::count blocks.
template <class F, class S>
struct BlockFits {
  float scale[F::count];
  float min[F::count];
  float levels[S::size * F::count];
};

template <class F, class S>
void fit_blocks(const float* x, const float* importance, float average, BlockFits<F, S>& fits) {
  F lanes[S::size];
  F w[S::size];
  F level[S::size];
  F::template load_groups<S::size>(x, lanes);
  F::template load_groups<S::size>(importance, w);
  weigh(lanes, F::all(average), w);
  GroupFit<F> fit;
  if constexpr (S::has_min) {
    fit = fit_range(lanes, w, weighted_trials(S::levels), level);
  } else {
    fit = {fit_signed(lanes, w, S::offset, level), F::all(0.0f)};
  }
  fit.scale.store(fits.scale);
  fit.min.store(fits.min);
  for (int j = 0; j < S::size; ++j) level[j].store(fits.levels + j * F::count);
}

template <class F, class S>
void store_fit(const BlockFits<F, S>& fits, int b, std::byte* block) {
  int q[S::size];
  for (int j = 0; j < S::size; ++j) q[j] = static_cast<int>(fits.levels[j * F::count + b]);
  S::store_scale(block, fits.scale[b]);
  if constexpr (S::has_min) S::store_scale(block + S::scale_bytes, -fits.min[b]);
  pack_block<S>(q, block);
}

template <class F, class S>
std::size_t quantize_blocks_weighted(const float* src, const float* importance, std::byte* dst,
                                     std::size_t n) {
  const float average = sum_of_squares(src, n) / static_cast<float>(n);
  float room[F::count * S::size];
  const auto quantize = [&](std::size_t first, const float* x, BlockOf<S>* blocks) {
    BlockFits<F, S> fits;
    fit_blocks(x, importances_from(importance, first, n, room), average, fits);
    for (int b = 0; b < F::count; ++b) store_fit(fits, b, blocks[b].bytes);
  };
  return in_batches<BlockOf<S>, F::count>(src, dst, n, quantize);
}

}  // namespace
}  // namespace ggmlkit
