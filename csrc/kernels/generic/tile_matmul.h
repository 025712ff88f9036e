// Products with packed tiles on vectors of any width: integer dot products of R tiles with T tokens
// in registers, scaled once a block.
//
// `Set` describes an instruction set: `Lanes`, its vectors; `Dot<kind>`, how it sums products of
// bytes (kernels/generic/dot_steps.h); `tiles` and `tokens`, how many its registers hold.
#pragma once

#include <utility>

#include "core/cpu.h"
#include "kernels/generic/dot_steps.h"
#include "kernels/generic/tile_weights.h"
#include "kernels/simd.h"

namespace ggmlkit {
namespace {

// R tiles that follow each other.
template <class L, PackedKind kind, int R>
struct Tiles {
  const std::byte* tile;
  TileLayout at;

  TileBlocks<L, kind> operator[](int r) const {
    const std::byte* p = tile + r * at.bytes;
    return {p, p + at.supers_at};
  }
};

template <class Set, PackedKind kind, int R, int T, int W>
struct TileProduct {
  using L = typename Set::Lanes;
  using Int = typename L::Int;
  using Float = typename L::Float;
  using P = Packed<kind>;
  using Dot = typename Set::template Dot<kind>;
  using Weights = Tiles<L, kind, R>;
  // Where dots and totals do not both fit the registers, totals live in memory, in the first-level
  // cache: they are touched once per block, dots eight times.
  static constexpr bool kTotalsInMemory = 2 * R * T > L::registers - 7;

  // x begins with the quantized block of activations for block b of the weights; `next` is a block
  // to prefetch, or null.
  template <int k>
  [[gnu::always_inline]] static void step(const Weights& w, const ActivationView& x, std::size_t b,
                                          const std::byte* next, Int (&dot)[R][T]) {
    if (next != nullptr) prefetch<L, kind, R, k, 8>(next, w.at);
    Int q[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) q[r] = Dot::weights(w[r].template quad<k>(b));
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      std::int32_t four;
      std::memcpy(&four, x.q + 4 * (k * W + t), 4);
      const Int a = L::broadcast32(four);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) Dot::accumulate(dot[r][t], q[r], a);
    }
  }

  template <std::size_t part>
  [[gnu::always_inline]] static void dots(const Weights& w, const ActivationView& x, std::size_t b,
                                          const std::byte* next, Int (&dot)[R][T]) {
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      const Int start = Dot::start(sums_at(x, t), part);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) dot[r][t] = start;
    }
    if constexpr (P::parts == 1) {
      step<0>(w, x, b, next, dot);
      step<4>(w, x, b, next, dot);
      step<1>(w, x, b, next, dot);
      step<5>(w, x, b, next, dot);
      step<2>(w, x, b, next, dot);
      step<6>(w, x, b, next, dot);
      step<3>(w, x, b, next, dot);
      step<7>(w, x, b, next, dot);
    } else {
      step<4 * part>(w, x, b, next, dot);
      step<4 * part + 1>(w, x, b, next, dot);
      step<4 * part + 2>(w, x, b, next, dot);
      step<4 * part + 3>(w, x, b, next, dot);
    }
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) dot[r][t] = Dot::finish(dot[r][t], sums_at(x, t));
    }
  }

  template <std::size_t part>
  [[gnu::always_inline]] static void multiply_block(const Weights& w, const ActivationView& x,
                                                    std::size_t b, const std::byte* next,
                                                    Float (*&total)[R][T]) {
    Int dot[R][T];
    dots<part>(w, x, b, next, dot);
    if constexpr (kTotalsInMemory) asm("" : "+r"(total));
    scale_and_add<part>(w, x, b, dot, *total);
  }

  template <std::size_t part>
  [[gnu::always_inline]] static void scale_and_add(const Weights& w, const ActivationView& x,
                                                   std::size_t b, const Int (&dot)[R][T],
                                                   Float (&total)[R][T]) {
    Float scales[R];
    Float mins[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      scales[r] = w[r].scale(b, part);
      if constexpr (P::has_min) mins[r] = w[r].min(b, part);
    }
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const Float both = L::multiply(scales[r], L::broadcast(x.scale[t]));
        Float next = L::multiply_add(both, L::to_float(dot[r][t]), total[r][t]);
        if constexpr (P::has_min) {
          const auto sum = static_cast<float>(part_sum<P::parts>(x, t, part));
          const float a_sum = x.scale[t] * sum;
          next = L::multiply_add(mins[r], L::broadcast(a_sum), next);
        }
        total[r][t] = next;
      }
    }
  }

  // x begins with the first of the T tokens, y with the first row of its product; `rows` of the
  // tiles' rows exist. Weights are prefetched so many bytes `ahead`; 0: not at all.
  static void run(const Weights& w, std::size_t rows, ActivationView x, float* y, std::size_t ldy,
                  std::size_t ahead) {
    const std::size_t count = *x.counts;
    Float room[R][T];
    auto* total = &room;
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) room[r][t] = L::zeros();
    }
    for (std::size_t i = 0; i < count; ++i, x = block_at(x, 1, W)) {
      const std::size_t b = *x.blocks;
      const std::byte* next =
          ahead != 0 ? address_ahead<L, kind, R>(w.tile, w.at, b, ahead) : nullptr;
      multiply_block<0>(w, x, b, next, total);
      if constexpr (P::parts == 2) multiply_block<1>(w, x, b, next, total);
    }
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        L::store(y + t * ldy + r * L::rows, (*total)[r][t], rows - r * L::rows);
      }
    }
  }
};

// R tiles with all tokens, panel by panel.
template <class Set, PackedKind kind, int R>
struct Panels {
  using Weights = Tiles<typename Set::Lanes, kind, R>;

  template <int W>
  static void run_one(const Weights& w, std::size_t rows, ActivationView x, float* y,
                      std::size_t ldy, std::size_t ahead) {
    constexpr int T = W < Set::tokens ? W : Set::tokens;
    for (int slot = 0; slot < W; slot += T, y += T * ldy) {
      TileProduct<Set, kind, R, T, W>::run(w, rows, x, y, ldy, slot == 0 ? ahead : 0);
      x = slot_at(x, T);
    }
  }

  static void run(const Weights& w, std::size_t rows, const ActivationView& x, std::size_t tokens,
                  float* y, std::size_t ldy) {
    static_assert(kPanel == 8);
    // Few tokens read the weights from memory; many find most of them in the cache.
    const std::size_t ahead = tokens <= kPanel ? stream_prefetch_distance(tokens) : 0;
    for (std::size_t t = 0; t < tokens;) {
      const std::size_t width = panel_width(tokens - t);
      const auto run_width = width == 8   ? run_one<8>
                             : width == 4 ? run_one<4>
                             : width == 2 ? run_one<2>
                                          : run_one<1>;
      run_width(w, rows, panel_at(x, t), y + t * ldy, ldy, t == 0 ? ahead : 0);
      t += width;
    }
  }
};

template <class Set, PackedKind kind>
void matmul_tiles(const std::byte* tiles, std::size_t rows, const ActivationView& x,
                  std::size_t tokens, float* y, std::size_t ldy) {
  constexpr std::size_t kRows = Set::Lanes::rows;
  constexpr std::size_t kGroup = Set::tiles * kRows;
  const TileLayout at = tile_layout<kind>(kRows, x.cols / kBlock);
  std::size_t row = 0;
  for (; row + kGroup <= rows; row += kGroup, tiles += Set::tiles * at.bytes) {
    Panels<Set, kind, Set::tiles>::run({tiles, at}, kGroup, x, tokens, y + row, ldy);
  }
  for (; row < rows; row += kRows, tiles += at.bytes) {
    Panels<Set, kind, 1>::run({tiles, at}, rows - row, x, tokens, y + row, ldy);
  }
}

template <class Set, std::size_t... kind>
void fill_matmul_tiles(KernelTable& table, std::index_sequence<kind...>) {
  ((table.matmul[kind] = matmul_tiles<Set, static_cast<PackedKind>(kind)>), ...);
}

template <class Set>
void fill_matmul_tiles(KernelTable& table) {
  fill_matmul_tiles<Set>(table, std::make_index_sequence<kPackedKinds>());
}

}  // namespace
}  // namespace ggmlkit
