// Blocks to float32.
#include "kernels/neon/neon.h"
#include "kernels/neon/vector.h"

namespace ggmlkit::neon {
namespace {

// Bits 16·half … 16·half + 15 of `high` as bytes: 0x10 where set.
template <int half>
uint8x16_t high_bits_to_bytes(std::uint32_t high) {
  const uint8x16_t bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201u));
  const uint8x16_t bytes =
      vcombine_u8(vdup_n_u8(static_cast<std::uint8_t>(high >> (16 * half))),
                  vdup_n_u8(static_cast<std::uint8_t>(high >> (16 * half + 8))));
  return vandq_u8(vtstq_u8(bytes, bit), vdupq_n_u8(0x10));
}

// The stored integers as 32 bytes, the offset taken off.
template <class S>
int8x16x2_t unpack_bytes(const std::byte* src) {
  if constexpr (S::bits == 8) {
    return {{vreinterpretq_s8_u8(load16(src + S::quants_at)),
             vreinterpretq_s8_u8(load16(src + S::quants_at + 16))}};
  } else {
    const uint8x16_t packed = load16(src + S::quants_at);
    uint8x16_t low = vandq_u8(packed, vdupq_n_u8(15));
    uint8x16_t high = vshrq_n_u8(packed, 4);
    if constexpr (S::bits == 5) {
      std::uint32_t fifth;
      std::memcpy(&fifth, src + S::high_at, 4);
      low = vorrq_u8(low, high_bits_to_bytes<0>(fifth));
      high = vorrq_u8(high, high_bits_to_bytes<1>(fifth));
    }
    const int8x16_t offset = vdupq_n_s8(S::offset);
    return {
        {vsubq_s8(vreinterpretq_s8_u8(low), offset), vsubq_s8(vreinterpretq_s8_u8(high), offset)}};
  }
}

// d·q + m of 16 integers. Multiply and add stay apart: the specification rounds between them.
template <class S>
void store_values(int8x16_t q, float32x4_t d, float32x4_t m, float* dst) {
  const int16x8_t wide[2] = {vmovl_s8(vget_low_s8(q)), vmovl_high_s8(q)};
  for (int i = 0; i < 2; ++i) {
    const int32x4_t four[2] = {vmovl_s16(vget_low_s16(wide[i])), vmovl_high_s16(wide[i])};
    for (int j = 0; j < 2; ++j) {
      float32x4_t v = vmulq_f32(d, vcvtq_f32_s32(four[j]));
      if constexpr (S::has_min) v = vaddq_f32(v, m);
      vst1q_f32(dst + 8 * i + 4 * j, v);
    }
  }
}

float32x4_t half_broadcast(const std::byte* p) {
  std::uint16_t h;
  std::memcpy(&h, p, 2);
  return vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(h)));
}

template <class S>
void dequantize_blocks(const std::byte* src, float* dst, std::size_t n) {
  for (std::size_t i = 0; i < n; i += S::size, src += S::bytes, dst += S::size) {
    const float32x4_t d = half_broadcast(src);
    const float32x4_t m = S::has_min ? half_broadcast(src + S::scale_bytes) : d;
    const int8x16x2_t q = unpack_bytes<S>(src);
    store_values<S>(q.val[0], d, m, dst);
    store_values<S>(q.val[1], d, m, dst + 16);
  }
}

using Load8 = float32x4x2_t (*)(const std::byte*);
using LoadOne = float (*)(std::uint16_t);

template <Load8 load8, LoadOne load_one>
void dequantize_halves(const std::byte* src, float* dst, std::size_t n) {
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const float32x4x2_t v = load8(src + 2 * i);
    vst1q_f32(dst + i, v.val[0]);
    vst1q_f32(dst + i + 4, v.val[1]);
  }
  for (; i < n; ++i) {
    std::uint16_t h;
    std::memcpy(&h, src + 2 * i, 2);
    dst[i] = load_one(h);
  }
}

template <class S>
void set(KernelTable& table, Type type) {
  table.types[static_cast<std::size_t>(type)].dequantize = dequantize_blocks<S>;
}

}  // namespace

void fill_dequantize(KernelTable& table) {
  table.types[static_cast<std::size_t>(Type::f16)].dequantize =
      dequantize_halves<load_half8, half_to_float>;
  table.types[static_cast<std::size_t>(Type::bf16)].dequantize =
      dequantize_halves<load_bf16x8, bf16_to_float>;
  set<Q4_0>(table, Type::q4_0);
  set<Q4_1>(table, Type::q4_1);
  set<Q5_0>(table, Type::q5_0);
  set<Q5_1>(table, Type::q5_1);
  set<Q8_0>(table, Type::q8_0);
}

}  // namespace ggmlkit::neon
