// Attention over cached positions, on vectors of any width: scores or outputs of several rows are
// summed in registers at once. What they read is converted to float once for all these rows.
//
// `V` describes a width: `Float`, its vectors of `lanes` floats; at most how many `rows` are summed
// at once, and how many `sums` registers hold; and what is done with them, see avx2/attention.cpp.
#pragma once

#include <algorithm>
#include <type_traits>
#include "core/convert.h"
#include "kernels/generic/each.h"
#include "kernels/layouts/kv_group.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// Calls f(first row, number of rows as a constant): `most` at a time while there are as many, then
// what is left.
template <int most, class F>
void in_groups_of_rows(std::size_t rows, F f, std::size_t r = 0) {
  for (; r + most <= rows; r += most) f(r, std::integral_constant<int, most>());
  if constexpr (most > 1) in_groups_of_rows<most - 1>(rows, f, r);
}

// The largest power of two up to n, and at most `most`.
constexpr int power_of_two_up_to(int n, int most) {
  int power = 1;
  while (2 * power <= n && 2 * power <= most) power *= 2;
  return power;
}

template <class V, KvType type>
struct KvSums {
  using Float = typename V::Float;
  static constexpr int kLanes = V::lanes;
  static constexpr int kOfGroup = static_cast<int>(kKvGroup) / kLanes;  // vectors of positions
  static constexpr bool kHasScales = type != KvType::f16;
  static constexpr int kKeysOfByte = type == KvType::q4_0 ? 2 : 1;

  // Elements j + i of keys, from the group's position p on; where they have scales, as integers.
  // i < kKeysOfByte, which divides j.
  template <int i>
  static Float key(const std::byte* group, std::size_t p, std::size_t j) {
    if constexpr (type == KvType::f16) return V::halves(group + 2 * key_at(p, j));
    if constexpr (type == KvType::q8_0) return V::bytes(group + key_at(p, j));
    if constexpr (type == KvType::q4_0) return V::template nibbles<i>(group + key_byte_at(p, j));
  }

  // Elements of a value from j on. `upper`: they are in the upper halves of their bytes (q4_0).
  template <int upper>
  static Float value(const std::byte* group, std::size_t p, std::size_t j, std::size_t d) {
    if constexpr (type == KvType::f16) return V::halves(group + 2 * value_at(p, j, d));
    if constexpr (type == KvType::q8_0) return V::bytes(group + value_at(p, j, d));
    if constexpr (type == KvType::q4_0) {
      return V::template nibbles<upper>(group + value_byte_at(p, j, d));
    }
  }
  static float value1(const std::byte* group, std::size_t p, std::size_t j, std::size_t d) {
    if constexpr (type == KvType::f16)
      return half_to_float(load_u16(group + 2 * value_at(p, j, d)));
    if constexpr (type == KvType::q8_0) return static_cast<std::int8_t>(group[value_at(p, j, d)]);
    if constexpr (type == KvType::q4_0) {
      return static_cast<float>(level_of(group[value_byte_at(p, j, d)], value_is_upper(j)));
    }
  }

  // sum[r][h] += row(r) · vector(h). The shorter side is held in registers, the other read as
  // needed: sums leave no room for more.
  template <int R, int H, class Row, class Vector>
  static void add_products(Float (&sum)[R][H], Row row, Vector vector) {
    if constexpr (R < H) {
      Float held[R];
      each<R>([&](auto r) { held[r] = row(r); });
      each<H>([&](auto h) {
        const Float v = vector(h);
        each<R>([&](auto r) { sum[r][h] = V::multiply_add(held[r], v, sum[r][h]); });
      });
    } else {
      Float held[H];
      each<H>([&](auto h) { held[h] = vector(h); });
      each<R>([&](auto r) {
        const Float a = row(r);
        each<H>([&](auto h) { sum[r][h] = V::multiply_add(a, held[h], sum[r][h]); });
      });
    }
  }

  // ----------------------------------------------------------------------- scores

  // R rows of queries × G groups, over elements [begin, end), which share a scale. Adds to what
  // earlier elements made, unless they are the first.
  template <int R, int G>
  static void sum_scores(const float* q, std::size_t d, std::size_t begin, std::size_t end,
                         const std::byte* keys, float* scores, std::size_t ld) {
    constexpr int H = G * kOfGroup;
    const std::size_t stride = kv_group_bytes(type, d);
    const auto group_of = [=](int h) { return keys + h / kOfGroup * stride; };
    Float sum[R][H];
    each<R>([&](auto r) { each<H>([&](auto h) { sum[r][h] = V::broadcast(0.0f); }); });
    const auto add = [&](std::size_t j, auto i) {
      add_products(
          sum, [&](auto r) { return V::broadcast(q[r * d + j + i]); },
          [&](auto h) { return key<decltype(i)::value>(group_of(h), h % kOfGroup * kLanes, j); });
    };
    std::size_t j = begin;
    for (; j + kKeysOfByte <= end; j += kKeysOfByte) each<kKeysOfByte>([&](auto i) { add(j, i); });
    if (kKeysOfByte > 1 && j < end) add(j, std::integral_constant<int, 0>());
    each<H>([&](auto h) {
      Float scale = V::broadcast(1.0f);
      if constexpr (kHasScales) {
        const std::size_t p = h % kOfGroup * kLanes;
        scale = V::halves(group_of(h) + kv_scale_at(type, p, begin / kBlock, d));
      }
      each<R>([&](auto r) {
        float* at = scores + r * ld + kLanes * h;
        const Float before = begin == 0 ? V::broadcast(0.0f) : V::load(at);
        V::store(at, V::multiply_add(scale, sum[r][h], before));
      });
    });
  }

  template <int R, int G>
  static void score_groups(const float* q, std::size_t d, const std::byte* keys, float* scores,
                           std::size_t ld) {
    if constexpr (kHasScales) {
      for (std::size_t j = 0; j < d; j += kBlock) {
        sum_scores<R, G>(q, d, j, std::min(d, j + kBlock), keys, scores, ld);
      }
    } else {
      sum_scores<R, G>(q, d, 0, d, keys, scores, ld);
    }
  }

  // As many groups at a time as registers hold, then half as many for what is left.
  template <int R, int G>
  static void score_rows(const float* q, std::size_t d, const std::byte* keys, std::size_t groups,
                         float* scores, std::size_t ld) {
    const std::size_t stride = kv_group_bytes(type, d);
    for (; groups >= G; groups -= G, keys += G * stride, scores += G * kKvGroup) {
      score_groups<R, G>(q, d, keys, scores, ld);
    }
    if constexpr (G > 1) score_rows<R, G / 2>(q, d, keys, groups, scores, ld);
  }

  // ----------------------------------------------------------------------- values

  // R rows of weights × C vectors of columns from `column` on, over all positions. `upper`: the
  // columns are in the second half of a block; those of whole blocks are in both.
  template <int R, int C, bool upper>
  static void sum_values(const float* weights, std::size_t ld, std::size_t d,
                         const std::byte* values, std::size_t positions, std::size_t column,
                         float* out) {
    constexpr int block = static_cast<int>(kBlock);
    constexpr int blocks = std::max(1, C * kLanes / block);
    const std::size_t stride = kv_group_bytes(type, d);
    Float sum[R][C];
    each<R>([&](auto r) {
      each<C>([&](auto c) { sum[r][c] = V::load(out + r * d + column + kLanes * c); });
    });
    float scales[blocks][kKvGroup];  // of the blocks that the columns fall into
    for (std::size_t first = 0; first < positions; first += kKvGroup, values += stride) {
      if constexpr (kHasScales) {
        for (std::size_t b = 0; b < blocks; ++b) {
          for (std::size_t p = 0; p < kKvGroup; p += kLanes) {
            const std::size_t at = kv_scale_at(type, p, column / kBlock + b, d);
            V::store(scales[b] + p, V::halves(values + at));
          }
        }
      }
      const std::size_t count = std::min(kKvGroup, positions - first);
      for (std::size_t p = 0; p < count; ++p) {
        add_products(
            sum, [&](auto r) { return V::broadcast(weights[r * ld + first + p]); },
            [&](auto c) {
              constexpr bool is_upper = upper || value_is_upper(c * kLanes);
              const Float v = value<is_upper>(values, p, column + kLanes * c, d);
              if constexpr (!kHasScales) return v;
              return V::multiply(v, V::broadcast(scales[c * kLanes / block][p]));
            });
      }
    }
    each<R>([&](auto r) {
      each<C>([&](auto c) { V::store(out + r * d + column + kLanes * c, sum[r][c]); });
    });
  }

  // A column that belongs to no whole vector.
  static void value_column(const float* weights, std::size_t ld, std::size_t rows, std::size_t d,
                           const std::byte* values, std::size_t positions, std::size_t column,
                           float* out) {
    for (std::size_t p = 0; p < positions; ++p) {
      const std::byte* group = values + p / kKvGroup * kv_group_bytes(type, d);
      const std::size_t place = p % kKvGroup;
      float v = value1(group, place, column, d);
      if constexpr (kHasScales) {
        v *= half_to_float(load_u16(group + kv_scale_at(type, place, column / kBlock, d)));
      }
      for (std::size_t r = 0; r < rows; ++r) out[r * d + column] += weights[r * ld + p] * v;
    }
  }

  template <int R, int C>
  static void value_rows(const float* weights, std::size_t ld, std::size_t d,
                         const std::byte* values, std::size_t positions, std::size_t column,
                         float* out) {
    for (; column + kLanes * C <= d; column += kLanes * C) {
      if constexpr (type == KvType::q4_0 && C * kLanes < static_cast<int>(kBlock)) {
        if (value_is_upper(column)) {
          sum_values<R, C, true>(weights, ld, d, values, positions, column, out);
          continue;
        }
      }
      sum_values<R, C, false>(weights, ld, d, values, positions, column, out);
    }
    if constexpr (C > 1) {
      value_rows<R, C / 2>(weights, ld, d, values, positions, column, out);
    } else {
      for (; column < d; ++column) {
        value_column(weights, ld, R, d, values, positions, column, out);
      }
    }
  }

  // ----------------------------------------------------------------------- all rows

  static void scores(const float* q, std::size_t rows, std::size_t d, const std::byte* keys,
                     std::size_t groups, float* scores, std::size_t ld) {
    in_groups_of_rows<V::rows>(rows, [=](std::size_t r, auto count) {
      constexpr int R = decltype(count)::value;
      constexpr int G = power_of_two_up_to(V::sums / (R * kOfGroup), 4);
      score_rows<R, G>(q + r * d, d, keys, groups, scores + r * ld, ld);
    });
  }

  static void add_values(const float* weights, std::size_t ld, std::size_t rows, std::size_t d,
                         const std::byte* values, std::size_t positions, float* out) {
    in_groups_of_rows<V::rows>(rows, [=](std::size_t r, auto count) {
      constexpr int R = decltype(count)::value;
      constexpr int C = power_of_two_up_to(V::sums / R, 8);
      value_rows<R, C>(weights + r * ld, ld, d, values, positions, 0, out + r * d);
    });
  }
};

template <class V, KvType type>
void set_attention(KernelTable& table) {
  KvKernels& kv = table.kv[static_cast<std::size_t>(type)];
  kv.scores = KvSums<V, type>::scores;
  kv.add_values = KvSums<V, type>::add_values;
}

template <class V>
void fill_attention(KernelTable& table) {
  set_attention<V, KvType::f16>(table);
  set_attention<V, KvType::q8_0>(table);
  set_attention<V, KvType::q4_0>(table);
}

}  // namespace
}  // namespace ggmlkit
