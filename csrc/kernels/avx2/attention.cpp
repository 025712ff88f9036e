// Attention over cached positions: tiles of scores and of outputs in registers. What a tile reads
// is converted to float once for all its rows.
#include <algorithm>
#include <type_traits>
#include <utility>

#include "kernels/avx2/avx2.h"
#include "kernels/avx2/vector.h"
#include "kernels/kv_group.h"

namespace ggmlkit::avx2 {
namespace {

__m256 load_int8x8(const std::byte* p) {
  return _mm256_cvtepi32_ps(
      _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}

// Eight elements from element `at` of a group; for q8_0, as their integers.
template <KvType type>
__m256 load8(const std::byte* group, std::size_t at) {
  return type == KvType::f16 ? load_half8(group + 2 * at) : load_int8x8(group + at);
}

template <KvType type>
float load1(const std::byte* group, std::size_t at) {
  return type == KvType::f16 ? half_to_float(load_u16(group + 2 * at))
                             : static_cast<float>(static_cast<std::int8_t>(group[at]));
}

// Calls f with 0 … N - 1 as constants: of arrays that no variable ever indexes, the compiler keeps
// every element in a register.
template <class F, int... i>
inline void for_constants(std::integer_sequence<int, i...>, F f) {
  (f(std::integral_constant<int, i>()), ...);
}
template <int N, class F>
inline void unrolled(F f) {
  for_constants(std::make_integer_sequence<int, N>(), f);
}

// sum[r][h] += row(r) · vector(h). The shorter side is held in registers, the other read as needed:
// with twelve sums, sixteen registers have no room for more.
template <int R, int H, class Row, class Vector>
void add_products(__m256 (&sum)[R][H], Row row, Vector vector) {
  if constexpr (R < H) {
    __m256 held[R];
    unrolled<R>([&](auto r) { held[r] = row(r); });
    unrolled<H>([&](auto h) {
      const __m256 v = vector(h);
      unrolled<R>([&](auto r) { sum[r][h] = _mm256_fmadd_ps(held[r], v, sum[r][h]); });
    });
  } else {
    __m256 held[H];
    unrolled<H>([&](auto h) { held[h] = vector(h); });
    unrolled<R>([&](auto r) {
      const __m256 a = row(r);
      unrolled<H>([&](auto h) { sum[r][h] = _mm256_fmadd_ps(a, held[h], sum[r][h]); });
    });
  }
}

// ------------------------------------------------------------------------- scores

// R rows of queries × G groups, over elements [begin, end), which share a scale. Adds to what
// earlier elements made, unless they are the first.
template <KvType type, int R, int G>
void score_tile(const float* q, std::size_t d, std::size_t begin, std::size_t end,
                const std::byte* keys, float* scores, std::size_t ld) {
  const std::size_t stride = kv_group_bytes(type, d);
  __m256 sum[R][2 * G];
  unrolled<R>([&](auto r) { unrolled<2 * G>([&](auto h) { sum[r][h] = _mm256_setzero_ps(); }); });
  for (std::size_t j = begin; j < end; ++j) {
    add_products(
        sum, [&](auto r) { return _mm256_broadcast_ss(q + r * d + j); },
        [&](auto h) { return load8<type>(keys + h / 2 * stride, key_at(h % 2 * 8, j)); });
  }
  unrolled<2 * G>([&](auto h) {
    __m256 scale = _mm256_set1_ps(1.0f);
    if constexpr (type == KvType::q8_0) {
      scale = load_half8(keys + h / 2 * stride + kv_scale_at(h % 2 * 8, begin / kBlock, d));
    }
    unrolled<R>([&](auto r) {
      float* at = scores + r * ld + 8 * h;
      const __m256 before = begin == 0 ? _mm256_setzero_ps() : _mm256_loadu_ps(at);
      _mm256_storeu_ps(at, _mm256_fmadd_ps(scale, sum[r][h], before));
    });
  });
}

template <KvType type, int R, int G>
void score_groups(const float* q, std::size_t d, const std::byte* keys, float* scores,
                  std::size_t ld) {
  if constexpr (type == KvType::f16) {
    score_tile<type, R, G>(q, d, 0, d, keys, scores, ld);
  } else {
    for (std::size_t j = 0; j < d; j += kBlock) {
      score_tile<type, R, G>(q, d, j, std::min(d, j + kBlock), keys, scores, ld);
    }
  }
}

// A tile has about twelve sums, enough to hide the latency of a multiply-add.
template <KvType type, int R>
void score_rows(const float* q, std::size_t d, const std::byte* keys, std::size_t groups,
                float* scores, std::size_t ld) {
  constexpr int G = R == 1 ? 4 : R <= 3 ? 2 : 1;
  const std::size_t stride = kv_group_bytes(type, d);
  std::size_t g = 0;
  for (; g + G <= groups; g += G) {
    score_groups<type, R, G>(q, d, keys + g * stride, scores + g * kKvGroup, ld);
  }
  for (; g < groups; ++g) {
    score_groups<type, R, 1>(q, d, keys + g * stride, scores + g * kKvGroup, ld);
  }
}

// ------------------------------------------------------------------------- values

// Factors of a group's positions: the scales of the blocks that a tile's columns fall into.
template <KvType type>
struct Scales {
  float of[2][kKvGroup];

  void load(const std::byte* group, std::size_t d, std::size_t block, std::size_t blocks) {
    for (std::size_t b = 0; b < blocks; ++b) {
      for (std::size_t p = 0; p < kKvGroup; p += 8) {
        _mm256_storeu_ps(of[b] + p, load_half8(group + kv_scale_at(p, block + b, d)));
      }
    }
  }
};

// R rows of weights × C vectors of columns from `column` on, over all positions.
template <KvType type, int R, int C>
void value_tile(const float* weights, std::size_t ld, std::size_t d, const std::byte* values,
                std::size_t positions, std::size_t column, float* out) {
  constexpr std::size_t blocks = C > 4 ? 2 : 1;
  const std::size_t stride = kv_group_bytes(type, d);
  __m256 sum[R][C];
  unrolled<R>([&](auto r) {
    unrolled<C>([&](auto c) { sum[r][c] = _mm256_loadu_ps(out + r * d + column + 8 * c); });
  });
  Scales<type> scales;
  for (std::size_t first = 0; first < positions; first += kKvGroup, values += stride) {
    const std::size_t count = std::min(kKvGroup, positions - first);
    if constexpr (type == KvType::q8_0) scales.load(values, d, column / kBlock, blocks);
    for (std::size_t p = 0; p < count; ++p) {
      add_products(
          sum, [&](auto r) { return _mm256_broadcast_ss(weights + r * ld + first + p); },
          [&](auto c) {
            const __m256 v = load8<type>(values, value_at(p, column + 8 * c, d));
            if constexpr (type == KvType::f16) return v;
            return _mm256_mul_ps(v, _mm256_broadcast_ss(&scales.of[c / 4][p]));
          });
    }
  }
  unrolled<R>([&](auto r) {
    unrolled<C>([&](auto c) { _mm256_storeu_ps(out + r * d + column + 8 * c, sum[r][c]); });
  });
}

// A column that belongs to no whole vector.
template <KvType type>
void value_column(const float* weights, std::size_t ld, std::size_t rows, std::size_t d,
                  const std::byte* values, std::size_t positions, std::size_t column, float* out) {
  for (std::size_t p = 0; p < positions; ++p) {
    const std::byte* group = values + p / kKvGroup * kv_group_bytes(type, d);
    const std::size_t place = p % kKvGroup;
    float v = load1<type>(group, value_at(place, column, d));
    if constexpr (type == KvType::q8_0) {
      v *= half_to_float(load_u16(group + kv_scale_at(place, column / kBlock, d)));
    }
    for (std::size_t r = 0; r < rows; ++r) out[r * d + column] += weights[r * ld + p] * v;
  }
}

template <KvType type, int R>
void value_rows(const float* weights, std::size_t ld, std::size_t d, const std::byte* values,
                std::size_t positions, float* out) {
  constexpr int C = R == 1 ? 8 : R <= 3 ? 4 : 2;
  std::size_t column = 0;
  for (; column + 8 * C <= d; column += 8 * C) {
    value_tile<type, R, C>(weights, ld, d, values, positions, column, out);
  }
  for (; column + 8 <= d; column += 8) {
    value_tile<type, R, 1>(weights, ld, d, values, positions, column, out);
  }
  for (; column < d; ++column) {
    value_column<type>(weights, ld, R, d, values, positions, column, out);
  }
}

// Calls f with the number of rows as a constant, six at a time while there are as many.
template <class F>
void in_tiles_of_rows(std::size_t rows, F f) {
  std::size_t r = 0;
  for (; r + 6 <= rows; r += 6) f(r, std::integral_constant<int, 6>());
  switch (rows - r) {
    case 5:
      return f(r, std::integral_constant<int, 5>());
    case 4:
      return f(r, std::integral_constant<int, 4>());
    case 3:
      return f(r, std::integral_constant<int, 3>());
    case 2:
      return f(r, std::integral_constant<int, 2>());
    case 1:
      return f(r, std::integral_constant<int, 1>());
    default:
      return;
  }
}

template <KvType type>
void scores(const float* q, std::size_t rows, std::size_t d, const std::byte* keys,
            std::size_t groups, float* scores, std::size_t ld) {
  in_tiles_of_rows(rows, [=](std::size_t r, auto count) {
    score_rows<type, decltype(count)::value>(q + r * d, d, keys, groups, scores + r * ld, ld);
  });
}

template <KvType type>
void add_values(const float* weights, std::size_t ld, std::size_t rows, std::size_t d,
                const std::byte* values, std::size_t positions, float* out) {
  in_tiles_of_rows(rows, [=](std::size_t r, auto count) {
    value_rows<type, decltype(count)::value>(weights + r * ld, ld, d, values, positions,
                                             out + r * d);
  });
}

template <KvType type>
void set(KernelTable& table) {
  KvKernels& kv = table.kv[static_cast<std::size_t>(type)];
  kv.scores = scores<type>;
  kv.add_values = add_values<type>;
}

}  // namespace

void fill_attention(KernelTable& table) {
  set<KvType::f16>(table);
  set<KvType::q8_0>(table);
}

}  // namespace ggmlkit::avx2
