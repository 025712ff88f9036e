// Products with packed tiles on vectors of any width: integer dot products of R tiles with T tokens
// in registers, scaled once a block.
//
// `Set` describes an instruction set: `Lanes`, its vectors; `Dot<kind>`, how it sums products of
// bytes (kernels/dot_steps.h); `tiles` and `tokens`, how many its registers hold.
#pragma once

#include "kernels/dot_steps.h"
#include "kernels/simd.h"

namespace ggmlkit {
namespace {

// The areas of R tiles that follow each other.
template <int R>
struct Tiles {
  const std::byte* tile;
  TileLayout at;

  const std::byte* quants(int r) const { return tile + r * at.bytes; }
  const std::byte* fifths(int r) const { return quants(r) + at.highs_at; }
  const std::byte* scales(int r) const { return quants(r) + at.scales_at; }
  const std::byte* mins(int r) const { return quants(r) + at.mins_at; }
};

// T rows of int8 at one block. Every third has a pointer, and the others are one or two strides
// from it, which an address holds: T pointers would not fit the registers.
template <int T>
struct TokenRows {
  static constexpr int kGroups = (T + 2) / 3;
  const std::int8_t* group[kGroups];
  std::size_t stride;

  TokenRows(const std::int8_t* first, std::size_t row_stride) : stride(row_stride) {
    for (int g = 0; g < kGroups; ++g) {
      group[g] = first + 3 * g * stride;
      asm("" : "+r"(group[g]));  // or the compiler makes it T pointers again
    }
  }
  std::int32_t quad(int t, int k) const {
    std::int32_t four;
    std::memcpy(&four, group[t / 3] + t % 3 * stride + 4 * k, 4);
    return four;
  }
};

// A single token's pass takes the weights from afar; this far ahead hides the latency of a large
// shared cache, and costs nothing when they come from memory.
constexpr std::size_t kAhead = 4096;

inline void prefetch(const std::byte* p, std::size_t bytes) {
  for (std::size_t line = 0; line < bytes; line += 64) __builtin_prefetch(p + kAhead + line);
}

template <class Set, PackedKind kind, int R, int T>
struct TileProduct {
  using L = typename Set::Lanes;
  using Int = typename L::Int;
  using Float = typename L::Float;
  using P = Packed<kind>;
  using Dot = typename Set::template Dot<kind>;
  static constexpr std::size_t kVector = 4 * L::rows;
  static constexpr std::size_t kHalves = 2 * L::rows;
  // Where dots and totals do not both fit the registers, totals live in memory, in the first-level
  // cache: each is met once a block, a dot eight times.
  static constexpr bool kTotalsInMemory = 2 * R * T > L::registers - 7;

  template <int k>
  [[gnu::always_inline]] static Int quad(const std::byte* quants, const std::byte* fifths) {
    if constexpr (P::is_byte) {
      return Dot::weights(L::load(quants + k * kVector));
    } else {
      const Int v = L::load(quants + k % 4 * kVector);
      const Int q = k < 4 ? L::low_nibbles(v) : L::high_nibbles(v);
      if constexpr (P::has_high) return L::template with_fifth_bit<k>(q, L::load(fifths));
      return q;
    }
  }

  template <int k>
  [[gnu::always_inline]] static void step(const Tiles<R>& w, const TokenRows<T>& x, std::size_t b,
                                          Int (&dot)[R][T]) {
    Int q[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      q[r] = quad<k>(w.quants(r) + b * P::vectors * kVector, w.fifths(r) + b * kVector);
    }
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      const Int a = L::broadcast32(x.quad(t, k));
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) Dot::accumulate(dot[r][t], q[r], a);
    }
  }

  [[gnu::always_inline]] static void scale_and_add(const Tiles<R>& w, std::size_t b,
                                                   const Int (&dot)[R][T], const float* scale,
                                                   const std::int32_t* sum, std::size_t blocks,
                                                   Float (&total)[R][T]) {
    Float scales[R];
    Float mins[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      scales[r] = L::load_halves(w.scales(r) + b * kHalves);
      if constexpr (P::has_min) mins[r] = L::load_halves(w.mins(r) + b * kHalves);
    }
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      const float a = scale[t * blocks];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const Float both = L::multiply(scales[r], L::broadcast(a));
        Float next = L::multiply_add(both, L::to_float(dot[r][t]), total[r][t]);
        if constexpr (P::has_min) {
          const float a_sum = a * static_cast<float>(sum[t * blocks]);
          next = L::multiply_add(mins[r], L::broadcast(a_sum), next);
        }
        total[r][t] = next;
      }
    }
  }

  // `rows` of the tiles' rows exist; y is where the first row of the first token goes.
  static void run(const Tiles<R>& w, std::size_t rows, const ActivationView& x, std::size_t first,
                  float* y, std::size_t ldy) {
    const std::size_t blocks = x.cols / kBlock;
    const float* scale = x.scale + first * blocks;
    const std::int32_t* sum = x.sum + first * blocks;
    const std::int32_t* half_sums = x.half_sums + first * blocks;
    Float room[R][T];
    auto* total = &room;
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) room[r][t] = L::zeros();
    }
    for (std::size_t b = 0; b < blocks; ++b, ++scale, ++sum, ++half_sums) {
      if constexpr (T == 1) {
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          prefetch(w.quants(r) + b * P::vectors * kVector, P::vectors * kVector);
          if constexpr (P::has_high) prefetch(w.fifths(r) + b * kVector, kVector);
          prefetch(w.scales(r) + b * kHalves, kHalves);
          if constexpr (P::has_min) prefetch(w.mins(r) + b * kHalves, kHalves);
        }
      }
      const TokenRows<T> rows_of_x(x.q + first * x.cols + b * kBlock, x.cols);
      const auto sums = [&](int t) { return BlockSums{sum[t * blocks], half_sums[t * blocks]}; };
      Int dot[R][T];
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) {
        const Int start = Dot::start(sums(t));
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) dot[r][t] = start;
      }
      step<0>(w, rows_of_x, b, dot);
      step<4>(w, rows_of_x, b, dot);
      step<1>(w, rows_of_x, b, dot);
      step<5>(w, rows_of_x, b, dot);
      step<2>(w, rows_of_x, b, dot);
      step<6>(w, rows_of_x, b, dot);
      step<3>(w, rows_of_x, b, dot);
      step<7>(w, rows_of_x, b, dot);
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) {
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) dot[r][t] = Dot::finish(dot[r][t], sums(t));
      }
      if constexpr (kTotalsInMemory) asm("" : "+r"(total));
      scale_and_add(w, b, dot, scale, sum, blocks, *total);
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

// R tiles with any number of tokens, shared out evenly over the fewest passes.
template <class Set, PackedKind kind, int R>
struct AllTokens {
  using Run = void (*)(const Tiles<R>&, std::size_t, const ActivationView&, std::size_t, float*,
                       std::size_t);

  template <int T>
  static void pass(int tokens, const Tiles<R>& w, std::size_t rows, const ActivationView& x,
                   std::size_t first, float* y, std::size_t ldy) {
    if (tokens == T) return TileProduct<Set, kind, R, T>::run(w, rows, x, first, y, ldy);
    if constexpr (T > 1) pass<T - 1>(tokens, w, rows, x, first, y, ldy);
  }

  static void run(const Tiles<R>& w, std::size_t rows, const ActivationView& x, std::size_t tokens,
                  float* y, std::size_t ldy) {
    std::size_t passes = (tokens + Set::tokens - 1) / Set::tokens;
    for (std::size_t t = 0; t < tokens; --passes) {
      const std::size_t n = (tokens - t + passes - 1) / passes;
      pass<Set::tokens>(static_cast<int>(n), w, rows, x, t, y + t * ldy, ldy);
      t += n;
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
  // A single token meets the weights once anyway: one tile at a time keeps to one stream.
  for (; tokens > 1 && row + kGroup <= rows; row += kGroup, tiles += Set::tiles * at.bytes) {
    AllTokens<Set, kind, Set::tiles>::run({tiles, at}, kGroup, x, tokens, y + row, ldy);
  }
  for (; row < rows; row += kRows, tiles += at.bytes) {
    AllTokens<Set, kind, 1>::run({tiles, at}, rows - row, x, tokens, y + row, ldy);
  }
}

template <class Set>
void fill_matmul_tiles(KernelTable& table) {
  const auto matmul = [&table](PackedKind kind) -> MatmulKernel& {
    return table.matmul[static_cast<std::size_t>(kind)];
  };
  matmul(PackedKind::nibble) = matmul_tiles<Set, PackedKind::nibble>;
  matmul(PackedKind::nibble_min) = matmul_tiles<Set, PackedKind::nibble_min>;
  matmul(PackedKind::five) = matmul_tiles<Set, PackedKind::five>;
  matmul(PackedKind::five_min) = matmul_tiles<Set, PackedKind::five_min>;
  matmul(PackedKind::byte) = matmul_tiles<Set, PackedKind::byte>;
}

}  // namespace
}  // namespace ggmlkit
