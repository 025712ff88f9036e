// Attention over cached positions: tiles of scores and of outputs in registers. What a tile reads
// is converted to float once for all its rows.
#include <algorithm>
#include <type_traits>

#include "kernels/generic/attention.h"
#include "kernels/neon/neon.h"
#include "kernels/neon/vector.h"

namespace ggmlkit::neon {
namespace {

// Sixteen registers hold the sums of four rows.
constexpr int kRows = 4;

// Four elements from element `at` of a group; for q8_0, as their integers.
template <KvType type>
float32x4_t load4(const std::byte* group, std::size_t at) {
  if constexpr (type == KvType::f16) {
    const auto* halves = reinterpret_cast<const std::uint8_t*>(group + 2 * at);
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(halves)));
  } else {
    std::int32_t four;
    std::memcpy(&four, group + at, 4);
    const int16x8_t wide = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
  }
}

template <KvType type>
float load1(const std::byte* group, std::size_t at) {
  return type == KvType::f16 ? half_to_float(load_u16(group + 2 * at))
                             : static_cast<float>(static_cast<std::int8_t>(group[at]));
}

// The scales of block b of positions 4·h … 4·h + 3.
float32x4_t load_scales(const std::byte* group, std::size_t h, std::size_t b, std::size_t d) {
  return load4<KvType::f16>(group + kv_scale_at(4 * h, b, d), 0);
}

// ------------------------------------------------------------------------- scores

// R rows of queries × G groups, over elements [begin, end), which share a scale. Adds to what
// earlier elements made, unless they are the first.
template <KvType type, int R, int G>
void score_tile(const float* q, std::size_t d, std::size_t begin, std::size_t end,
                const std::byte* keys, float* scores, std::size_t ld) {
  const std::size_t stride = kv_group_bytes(type, d);
  float32x4_t sum[R][4 * G];
  for (auto& row : sum) {
    for (float32x4_t& s : row) s = vdupq_n_f32(0.0f);
  }
  for (std::size_t j = begin; j < end; ++j) {
    float32x4_t k[4 * G];
    for (int h = 0; h < 4 * G; ++h) {
      k[h] = load4<type>(keys + h / 4 * stride, key_at(h % 4 * 4, j));
    }
    for (int r = 0; r < R; ++r) {
      for (int h = 0; h < 4 * G; ++h) sum[r][h] = vfmaq_n_f32(sum[r][h], k[h], q[r * d + j]);
    }
  }
  for (int h = 0; h < 4 * G; ++h) {
    float32x4_t scale = vdupq_n_f32(1.0f);
    if constexpr (type == KvType::q8_0) {
      scale = load_scales(keys + h / 4 * stride, h % 4, begin / kBlock, d);
    }
    for (int r = 0; r < R; ++r) {
      float* at = scores + r * ld + 4 * h;
      const float32x4_t before = begin == 0 ? vdupq_n_f32(0.0f) : vld1q_f32(at);
      vst1q_f32(at, vfmaq_f32(before, scale, sum[r][h]));
    }
  }
}

template <KvType type, int R, int G>
void score_groups(const float* q, std::size_t d, const std::byte* keys, float* scores,
                  std::size_t ld) {
  const std::size_t step = type == KvType::f16 ? d : kBlock;
  for (std::size_t j = 0; j < d; j += step) {
    score_tile<type, R, G>(q, d, j, std::min(d, j + step), keys, scores, ld);
  }
}

// A tile has eight sums at least, to hide the latency of a multiply-add.
template <KvType type, int R>
void score_rows(const float* q, std::size_t d, const std::byte* keys, std::size_t groups,
                float* scores, std::size_t ld) {
  constexpr int G = R == 1 ? 2 : 1;
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

// R rows of weights × C vectors of columns from `column` on, over all positions. The columns lie
// in one block.
template <KvType type, int R, int C>
void value_tile(const float* weights, std::size_t ld, std::size_t d, const std::byte* values,
                std::size_t positions, std::size_t column, float* out) {
  const std::size_t stride = kv_group_bytes(type, d);
  float32x4_t sum[R][C];
  for (int r = 0; r < R; ++r) {
    for (int c = 0; c < C; ++c) sum[r][c] = vld1q_f32(out + r * d + column + 4 * c);
  }
  for (std::size_t first = 0; first < positions; first += kKvGroup, values += stride) {
    const std::size_t count = std::min(kKvGroup, positions - first);
    float scales[kKvGroup];
    if constexpr (type == KvType::q8_0) {
      for (std::size_t h = 0; h < 4; ++h) {
        vst1q_f32(scales + 4 * h, load_scales(values, h, column / kBlock, d));
      }
    }
    for (std::size_t p = 0; p < count; ++p) {
      float32x4_t v[C];
      for (int c = 0; c < C; ++c) {
        v[c] = load4<type>(values, value_at(p, column + 4 * c, d));
        if constexpr (type == KvType::q8_0) v[c] = vmulq_n_f32(v[c], scales[p]);
      }
      for (int r = 0; r < R; ++r) {
        const float w = weights[r * ld + first + p];
        for (int c = 0; c < C; ++c) sum[r][c] = vfmaq_n_f32(sum[r][c], v[c], w);
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int c = 0; c < C; ++c) vst1q_f32(out + r * d + column + 4 * c, sum[r][c]);
  }
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
  constexpr int C = R == 1 ? 8 : 4;
  std::size_t column = 0;
  for (; column + 4 * C <= d; column += 4 * C) {
    value_tile<type, R, C>(weights, ld, d, values, positions, column, out);
  }
  for (; column + 4 <= d; column += 4) {
    value_tile<type, R, 1>(weights, ld, d, values, positions, column, out);
  }
  for (; column < d; ++column) {
    value_column<type>(weights, ld, R, d, values, positions, column, out);
  }
}

template <KvType type>
void scores(const float* q, std::size_t rows, std::size_t d, const std::byte* keys,
            std::size_t groups, float* scores, std::size_t ld) {
  in_tiles_of_rows<kRows>(rows, [=](std::size_t r, auto count) {
    score_rows<type, decltype(count)::value>(q + r * d, d, keys, groups, scores + r * ld, ld);
  });
}

template <KvType type>
void add_values(const float* weights, std::size_t ld, std::size_t rows, std::size_t d,
                const std::byte* values, std::size_t positions, float* out) {
  in_tiles_of_rows<kRows>(rows, [=](std::size_t r, auto count) {
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

}  // namespace ggmlkit::neon
