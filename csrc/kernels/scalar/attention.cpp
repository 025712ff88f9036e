// Scalar attention over cached positions, and what they are rounded to.
#include <algorithm>
#include <cmath>

#include "kernels/layouts/kv_group.h"
#include "kernels/scalar/scalar.h"

namespace ggmlkit {
namespace {

struct F16 {
  static constexpr KvType type = KvType::f16;

  static void store_key(const float* k, std::size_t d, std::size_t p, std::byte* group) {
    for (std::size_t j = 0; j < d; ++j) store_u16(group + 2 * key_at(p, j), float_to_half(k[j]));
  }
  static void store_value(const float* v, std::size_t d, std::size_t p, std::byte* group) {
    for (std::size_t j = 0; j < d; ++j) {
      store_u16(group + 2 * value_at(p, j, d), float_to_half(v[j]));
    }
  }
  static float key(const std::byte* group, std::size_t p, std::size_t j, std::size_t) {
    return half_to_float(load_u16(group + 2 * key_at(p, j)));
  }
  static float value(const std::byte* group, std::size_t p, std::size_t j, std::size_t d) {
    return half_to_float(load_u16(group + 2 * value_at(p, j, d)));
  }
};

// Nearest even, of integers from `least` to `most`; NaN is the least.
int nearest_level(float x, float least, float most) {
  const float level = std::nearbyint(x);
  return static_cast<int>(level > least ? std::min(level, most) : least);
}

// Levels are multiples of the scale as it is stored, in float16. Stores it; returns its inverse.
template <KvType type>
float store_scale(float scale, std::size_t d, std::size_t p, std::size_t b, std::byte* group) {
  const std::uint16_t half = float_to_half(scale);
  store_u16(group + kv_scale_at(type, p, b, d), half);
  const float stored = half_to_float(half);
  return stored != 0.0f ? 1.0f / stored : 0.0f;
}

template <KvType type>
float scale_of(const std::byte* group, std::size_t p, std::size_t j, std::size_t d) {
  return half_to_float(load_u16(group + kv_scale_at(type, p, j / kBlock, d)));
}

struct Q8 {
  static constexpr KvType type = KvType::q8_0;

  template <class Place>
  static void store(const float* x, std::size_t d, std::size_t p, std::byte* group, Place place) {
    for (std::size_t b = 0; b < kv_blocks(d); ++b) {
      const std::size_t end = std::min(d, (b + 1) * kBlock);
      float magnitude = 0.0f;
      for (std::size_t j = b * kBlock; j < end; ++j) {
        magnitude = std::max(magnitude, std::fabs(x[j]));
      }
      const float inverse = store_scale<type>(magnitude / 127.0f, d, p, b, group);
      for (std::size_t j = b * kBlock; j < end; ++j) {
        const int level = nearest_level(x[j] * inverse, -127.0f, 127.0f);
        group[place(j)] = static_cast<std::byte>(static_cast<std::int8_t>(level));
      }
    }
  }
  static void store_key(const float* k, std::size_t d, std::size_t p, std::byte* group) {
    store(k, d, p, group, [p](std::size_t j) { return key_at(p, j); });
  }
  static void store_value(const float* v, std::size_t d, std::size_t p, std::byte* group) {
    store(v, d, p, group, [p, d](std::size_t j) { return value_at(p, j, d); });
  }
  static float key(const std::byte* group, std::size_t p, std::size_t j, std::size_t d) {
    return scale_of<type>(group, p, j, d) * static_cast<std::int8_t>(group[key_at(p, j)]);
  }
  static float value(const std::byte* group, std::size_t p, std::size_t j, std::size_t d) {
    return scale_of<type>(group, p, j, d) * static_cast<std::int8_t>(group[value_at(p, j, d)]);
  }
};

struct Q4 {
  static constexpr KvType type = KvType::q4_0;

  // The element of largest magnitude becomes -8, the positive one of two.
  static void levels(const float* x, std::size_t d, std::size_t p, std::size_t b, std::byte* group,
                     int (&level)[kBlock]) {
    const std::size_t begin = b * kBlock;
    const std::size_t count = std::min(d - begin, kBlock);
    float most = 0.0f;
    float least = 0.0f;
    for (std::size_t i = 0; i < count; ++i) {
      most = std::max(most, x[begin + i]);
      least = std::min(least, x[begin + i]);
    }
    const float extreme = most >= -least ? most : least;
    const float inverse = store_scale<type>(extreme / -8.0f, d, p, b, group);
    for (std::size_t i = 0; i < kBlock; ++i) {
      level[i] = i < count ? nearest_level(x[begin + i] * inverse, -8.0f, 7.0f) : 0;
    }
  }
  static void store_key(const float* k, std::size_t d, std::size_t p, std::byte* group) {
    int level[kBlock];
    for (std::size_t b = 0; b < kv_blocks(d); ++b) {
      levels(k, d, p, b, group, level);
      for (std::size_t i = 0; i < kBlock; i += 2) {
        group[key_byte_at(p, b * kBlock + i)] = two_levels(level[i], level[i + 1]);
      }
    }
  }
  static void store_value(const float* v, std::size_t d, std::size_t p, std::byte* group) {
    constexpr std::size_t half = kBlock / 2;
    int level[kBlock];
    for (std::size_t b = 0; b < kv_blocks(d); ++b) {
      levels(v, d, p, b, group, level);
      for (std::size_t i = 0; i < half; ++i) {
        group[value_byte_at(p, b * kBlock + i, d)] = two_levels(level[i], level[i + half]);
      }
    }
  }
  static float key(const std::byte* group, std::size_t p, std::size_t j, std::size_t d) {
    const int level = level_of(group[key_byte_at(p, j)], j % 2 != 0);
    return scale_of<type>(group, p, j, d) * static_cast<float>(level);
  }
  static float value(const std::byte* group, std::size_t p, std::size_t j, std::size_t d) {
    const int level = level_of(group[value_byte_at(p, j, d)], value_is_upper(j));
    return scale_of<type>(group, p, j, d) * static_cast<float>(level);
  }
};

template <class Kv>
void scores(const float* q, std::size_t rows, std::size_t d, const std::byte* keys,
            std::size_t groups, float* scores, std::size_t ld) {
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t p = 0; p < groups * kKvGroup; ++p) {
      const std::byte* group = keys + p / kKvGroup * kv_group_bytes(Kv::type, d);
      float total = 0.0f;
      for (std::size_t j = 0; j < d; ++j) {
        total += q[i * d + j] * Kv::key(group, p % kKvGroup, j, d);
      }
      scores[i * ld + p] = total;
    }
  }
}

template <class Kv>
void add_values(const float* weights, std::size_t ld, std::size_t rows, std::size_t d,
                const std::byte* values, std::size_t positions, float* out) {
  for (std::size_t p = 0; p < positions; ++p) {
    const std::byte* group = values + p / kKvGroup * kv_group_bytes(Kv::type, d);
    for (std::size_t j = 0; j < d; ++j) {
      const float v = Kv::value(group, p % kKvGroup, j, d);
      for (std::size_t i = 0; i < rows; ++i) out[i * d + j] += weights[i * ld + p] * v;
    }
  }
}

template <class Kv>
void set_kv(KernelTable& table) {
  table.kv[static_cast<std::size_t>(Kv::type)] = {Kv::store_key, Kv::store_value, scores<Kv>,
                                                  add_values<Kv>};
}

}  // namespace

void fill_scalar_attention(KernelTable& table) {
  set_kv<F16>(table);
  set_kv<Q8>(table);
  set_kv<Q4>(table);
}

}  // namespace ggmlkit
