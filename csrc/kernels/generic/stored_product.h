// The product of one token with rows as a file holds them, read once and in order: what packing a
// tile, only to use it once, would have to do as well.
//
// Integer dot products come out with a block in each lane, the sums of the product have a row in
// each: between the two stands a small matrix that is transposed. Blocks are added in the order of
// the packed products, to the same bits.
//
// `Set` describes an instruction set: `Lanes` and `Dot<kind>` as in tile_ranges.h, and `Blocks`,
// what its vectors do with a file's blocks (avx2/file_blocks.h).
#pragma once

#include <algorithm>

#include "core/cpu.h"
#include "kernels/generic/dot_steps.h"
#include "kernels/generic/pack_rows.h"

namespace ggmlkit {
namespace {

template <class Set, class S>
struct StoredProduct {
  using L = typename Set::Lanes;
  using Blocks = typename Set::Blocks;
  using Int = typename L::Int;
  using Float = typename L::Float;
  static constexpr PackedKind kind = packed_kind<S>();
  using P = Packed<kind>;
  using Dot = typename Set::template Dot<kind>;

  static constexpr std::size_t kLanes = L::rows;
  static_assert(kLanes <= kLeastStored && kLanes == 8 * Blocks::of_vector);
  // Blocks of a row that are multiplied before those of the next row: 4096 elements.
  static constexpr std::size_t kBlocksAtOnce = 128;

  // What rows add for each block: scale · dot, times the scale of the activations, and a minimum.
  struct Terms {
    alignas(64) float dot[kLanes][kBlocksAtOnce];
    alignas(64) std::byte scale[kBlocksAtOnce][2 * kLanes];
    alignas(64) std::byte min[P::has_min ? kBlocksAtOnce : 1][2 * kLanes];
  };

  // Quantized blocks that are multiplied at once, `first` and those behind it, as many as so many
  // vectors hold; those numbered from `begin` to `end` are added, the others were before.
  struct Group {
    std::size_t first;
    std::size_t begin;
    std::size_t end;
    int vectors;    // 2, 4 or 8
    bool is_plain;  // they follow each other; none has two parts
  };

  // That which goes on with block i. The last of a row ends with it, so nothing behind is read.
  static Group group_at(const ActivationView& x, std::size_t i) {
    const std::size_t left = *x.counts - i;
    const int vectors = left <= 2 * Blocks::of_vector ? 2 : left <= 4 * Blocks::of_vector ? 4 : 8;
    const std::size_t blocks = static_cast<std::size_t>(vectors) * Blocks::of_vector;
    const std::size_t first = std::min(i, *x.counts - blocks);
    const bool is_plain = x.blocks[first + blocks - 1] - x.blocks[first] == blocks - 1;
    return {first, i - first, i - first + std::min(left, kLanes), vectors, is_plain};
  }

  // The terms of a group of V vectors, those of a row, to row r and the columns from j on.
  template <int V, bool is_plain>
  [[gnu::always_inline]] static void multiply(const std::byte* row, const ActivationView& x,
                                              std::size_t first, Terms& terms, std::size_t r,
                                              std::size_t j) {
    const std::uint32_t* places = x.blocks + first;
    const std::byte* begin = row + places[0] * S::bytes;
    const auto* q = reinterpret_cast<const std::byte*>(x.q + first * kBlock);
    std::byte* scales = terms.scale[j] + 2 * r;
    std::byte* mins = terms.min[P::has_min ? j : 0] + 2 * r;
    // One pointer each: the compiler would make one for each block, more than there are registers.
    asm("" : "+r"(begin), "+r"(q), "+r"(scales), "+r"(mins));
    const auto block = [&](std::size_t i) {
      return is_plain ? begin + i * S::bytes : row + places[i] * S::bytes;
    };
    Int v[8];
    for (Int& none : v) none = L::zero();
#pragma GCC unroll 8
    for (int i = 0; i < V; ++i) {
      Int sum = L::zero();
      const std::size_t at = static_cast<std::size_t>(i) * Blocks::of_vector;
      const Int codes = Blocks::template codes<S>([&](std::size_t k) { return block(at + k); });
      Dot::accumulate(sum, Dot::weights(codes), L::load(q + at * kBlock));
      v[i] = Dot::finish(sum, {});
    }
    Int dots = Blocks::block_sums(v);
    if constexpr (Dot::raised != 0) dots = Blocks::without(dots, Dot::raised, x.sum + first);
    L::store(terms.dot[r] + j, L::to_float(dots), kLanes);
#pragma GCC unroll 16
    for (std::size_t i = 0; i < V * Blocks::of_vector; ++i) {
      std::memcpy(scales + i * sizeof terms.scale[0], block(i), 2);
      if constexpr (P::has_min) std::memcpy(mins + i * sizeof terms.min[0], block(i) + 2, 2);
    }
  }

  [[gnu::noinline]] static void multiply_other(const std::byte* row, const ActivationView& x,
                                               const Group& g, Terms& terms, std::size_t r,
                                               std::size_t j) {
    if (g.vectors == 8) return multiply<8, false>(row, x, g.first, terms, r, j);
    if (g.vectors == 4) return multiply<4, false>(row, x, g.first, terms, r, j);
    multiply<2, false>(row, x, g.first, terms, r, j);
  }

  // The same of any group; what lies so far `ahead` in memory is prefetched.
  [[gnu::always_inline]] static void multiply(const std::byte* row, const ActivationView& x,
                                              const Group& g, Terms& terms, std::size_t r,
                                              std::size_t j, std::size_t ahead) {
    const std::byte* next = row + x.blocks[g.first] * S::bytes + ahead;
    for (std::size_t line = 0; line < kLanes * S::bytes; line += 64) {
      __builtin_prefetch(next + line);
    }
    if (g.vectors == 8 && g.is_plain) {
      multiply<8, true>(row, x, g.first, terms, r, j);
    } else {
      multiply_other(row, x, g, terms, r, j);
    }
  }

  // The terms of some of the columns, rows by rows, onto what they sum to.
  [[gnu::always_inline]] static Float add(const Terms& terms, const ActivationView& x,
                                          const Group& g, std::size_t j, Float total) {
    Float dot[kLanes];
    Blocks::transpose(terms.dot[0] + j, kBlocksAtOnce, dot);
    for (std::size_t k = g.begin; k < g.end; ++k) {
      const float a_scale = x.scale[g.first + k];
      const Float both = L::multiply(L::load_halves(terms.scale[j + k]), L::broadcast(a_scale));
      total = L::multiply_add(both, dot[k], total);
      if constexpr (P::has_min) {
        const float a_sum = a_scale * static_cast<float>(x.sum[g.first + k]);
        total = L::multiply_add(L::load_halves(terms.min[j + k]), L::broadcast(a_sum), total);
      }
    }
    return total;
  }

  static void run(const std::byte* src, std::size_t row_bytes, std::size_t rows,
                  const ActivationView& x, float* y) {
    Terms terms;
    const std::size_t count = *x.counts;
    // Whole 2 KB: on the Intel server rows came a tenth faster so than at a tile's distance.
    const std::size_t ahead = stream_prefetch_distance(1) / 2048 * 2048;
    for (std::size_t row = 0; row < rows; row += kLanes, src += kLanes * row_bytes) {
      const std::size_t there = std::min(kLanes, rows - row);
      if (there < kLanes) terms = {};
      Float total = L::zeros();
      for (std::size_t begin = 0; begin < count; begin += kBlocksAtOnce) {
        const std::size_t n = std::min(kBlocksAtOnce, count - begin);
        Group groups[kBlocksAtOnce / kLanes];
        for (std::size_t j = 0; j < n; j += kLanes) groups[j / kLanes] = group_at(x, begin + j);
        // Rows in pairs, as memory gives two streams faster than one.
        for (std::size_t r = 0; r < kLanes / 2; ++r) {
          for (std::size_t j = 0; j < n; j += kLanes) {
            for (std::size_t i = r; i < there; i += kLanes / 2) {
              multiply(src + i * row_bytes, x, groups[j / kLanes], terms, i, j, ahead);
            }
          }
        }
        for (std::size_t j = 0; j < n; j += kLanes) {
          total = add(terms, x, groups[j / kLanes], j, total);
        }
      }
      L::store(y + row, total, there);
    }
  }
};

template <class Set>
void fill_stored_products(KernelTable& table) {
  const auto product = [&table](Type type) -> auto& {
    return table.types[static_cast<std::size_t>(type)].multiply_stored;
  };
  product(Type::q4_0) = StoredProduct<Set, Q4_0>::run;
  product(Type::q4_1) = StoredProduct<Set, Q4_1>::run;
  product(Type::q5_0) = StoredProduct<Set, Q5_0>::run;
  product(Type::q5_1) = StoredProduct<Set, Q5_1>::run;
  product(Type::q8_0) = StoredProduct<Set, Q8_0>::run;
}

}  // namespace
}  // namespace ggmlkit
