// Weights and activations as bfloat16, as matrix instructions take them.
#pragma once

#include <cstddef>
#include <utility>

#include "kernels/avx512/lanes.h"
#include "kernels/generic/tile_weights.h"

namespace ggmlkit {
namespace {

using L = Lanes512;
constexpr std::size_t kRows = L::rows;
constexpr std::size_t kPairs = kBlock / 2;
constexpr std::size_t kVector = 4 * kRows;
// A block of sixteen rows or tokens in bfloat16.
constexpr std::size_t kMatrixBytes = kPairs * kVector;

// Upper halves of floats rounded to bfloat16; away from zero between two.
[[gnu::always_inline]] inline L::Int rounded(L::Float x) {
  return L::add32(_mm512_castps_si512(x), L::broadcast32(0x8000));
}

// Column j of a quad of codes, from 0 to 255: scale · (256 + code) + base. The sum in brackets is a
// float made by bits alone, as the unit of its upper mantissa is one.
template <int j>
[[gnu::always_inline]] inline L::Float weight(L::Int quad, L::Float scale, L::Float base) {
  constexpr int up = 15 - 8 * j;
  L::Int code = quad;
  if constexpr (up > 0) code = _mm512_slli_epi32(quad, up);
  if constexpr (up < 0) code = _mm512_srli_epi32(quad, -up);
  const L::Int bits = L::or_both(L::broadcast32(0x43800000), code, L::broadcast32(0xff << 15));
  return L::multiply_add(scale, _mm512_castsi512_ps(bits), base);
}

// Two columns of sixteen rows: the earlier one in the lower halves.
[[gnu::always_inline]] inline L::Int pair(L::Float a, L::Float b) {
  const L::Int low = _mm512_srli_epi32(rounded(a), 16);
  return L::or_both(low, rounded(b), L::broadcast32(static_cast<int>(0xffff0000)));
}

// Quad k of a block to its two pairs.
template <PackedKind kind, int k>
[[gnu::always_inline]] inline void expand_quad(const TileBlocks<L, kind>& from, std::size_t b,
                                               L::Float scale, L::Float base, std::byte* out) {
  using P = Packed<kind>;
  L::Int quad = from.template quad<k>(b);
  if constexpr (P::has_table) quad = L::lookup(P::stored.table, quad);
  if constexpr (P::has_table || P::is_byte) quad = L::exclusive_or(quad, L::broadcast8(-128));
  const L::Int first = pair(weight<0>(quad, scale, base), weight<1>(quad, scale, base));
  const L::Int second = pair(weight<2>(quad, scale, base), weight<3>(quad, scale, base));
  _mm512_store_si512(out + 2 * k * kVector, first);
  _mm512_store_si512(out + (2 * k + 1) * kVector, second);
}

// Blocks of a tile to [blocks][16 pairs][16 rows][2].
template <PackedKind kind, int... k>
void expand_quads(const TileBlocks<L, kind>& from, std::size_t blocks, std::byte* out,
                  std::integer_sequence<int, k...>) {
  using P = Packed<kind>;
  constexpr int kZero = 256 + (P::has_table || P::is_byte ? 128 : P::offset);
  for (std::size_t b = 0; b < blocks; ++b, out += kMatrixBytes) {
    L::Float scale[P::parts];
    L::Float base[P::parts];
    for (std::size_t part = 0; part < P::parts; ++part) {
      scale[part] = from.scale(b, part);
      L::Float min = L::zeros();
      if constexpr (P::has_min) min = from.min(b, part);
      base[part] = L::multiply_add(scale[part], L::broadcast(-kZero), min);
    }
    (expand_quad<kind, k>(from, b, scale[k * P::parts / 8], base[k * P::parts / 8], out), ...);
  }
}

template <PackedKind kind>
void expand(const TileBlocks<L, kind>& from, std::size_t blocks, std::byte* out) {
  expand_quads(from, blocks, out, std::make_integer_sequence<int, 8>());
}

// Blocks of one token to its rows of a matrix panel.
inline void store_bfloat16(const float* x, std::size_t blocks, std::int8_t* out) {
  for (std::size_t b = 0; b < blocks; ++b, out += kMatrixBytes) {
    for (std::size_t half = 0; half < 2; ++half) {
      const L::Float v = _mm512_loadu_ps(x + b * kBlock + half * 16);
      const __m256i upper = _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded(v), 16));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + half * 32), upper);
    }
  }
}

}  // namespace
}  // namespace ggmlkit
