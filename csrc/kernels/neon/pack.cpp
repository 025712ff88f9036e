// File rows to packed tiles: four rows at a time, transposed in registers.
#include "kernels/generic/pack_groups.h"
#include "kernels/generic/pack_rows.h"
#include "kernels/neon/neon.h"
#include "kernels/neon/tile.h"

namespace ggmlkit::neon {
namespace {

uint32x4_t load_words(const std::byte* p) { return vreinterpretq_u32_u8(load16(p)); }

void store_pair(std::byte* p, uint32x4_t low, uint32x4_t high) {
  store16(
      p, vreinterpretq_u8_u64(vzip1q_u64(vreinterpretq_u64_u32(low), vreinterpretq_u64_u32(high))));
  store16(p + kVector, vreinterpretq_u8_u64(
                           vzip2q_u64(vreinterpretq_u64_u32(low), vreinterpretq_u64_u32(high))));
}

// Word i of each of four 16-byte rows, for i = 0 … 3, to vectors kVector apart.
void transpose_words(const std::byte* const* rows, std::size_t at, std::byte* out) {
  const uint32x4_t r[4] = {load_words(rows[0] + at), load_words(rows[1] + at),
                           load_words(rows[2] + at), load_words(rows[3] + at)};
  store_pair(out, vzip1q_u32(r[0], r[1]), vzip1q_u32(r[2], r[3]));
  store_pair(out + 2 * kVector, vzip2q_u32(r[0], r[1]), vzip2q_u32(r[2], r[3]));
}

// As file blocks' byte j holds elements j and j + 16, their 16 bytes of nibbles are four vectors.
void transpose_sixteen(const std::byte* const* rows, std::size_t at, std::byte* out) {
  transpose_words(rows, at, out);
  transpose_words(rows + 4, at, out + 16);
}

// The fifth bits of four rows: bit 4k + c of a row's 32 becomes bit k of its byte c, that is bit
// 8c + k. A position (k2 k1 k0 c1 c0) in binary becomes (c1 c0 k2 k1 k0); each step exchanges two
// of the position's binary digits.
template <int distance>
uint32x4_t exchange(uint32x4_t x, std::uint32_t mask) {
  const uint32x4_t t = vandq_u32(veorq_u32(x, vshrq_n_u32(x, distance)), vdupq_n_u32(mask));
  return veorq_u32(x, veorq_u32(t, vshlq_n_u32(t, distance)));
}

uint32x4_t transpose_high_bits(uint32x4_t x) {
  // Masks pick the lower of each pair of positions that differ in the two digits.
  x = exchange<15>(x, 0x0000aaaau);    // digits 4 and 0: (c0 k1 k0 c1 k2)
  x = exchange<6>(x, 0x00cc00ccu);     // digits 3 and 1: (c0 c1 k0 k1 k2)
  x = exchange<8>(x, 0x0000ff00u);     // digits 4 and 3: (c1 c0 k0 k1 k2)
  return exchange<3>(x, 0x0a0a0a0au);  // digits 2 and 0: (c1 c0 k2 k1 k0)
}

void pack_high_bits(const std::byte* const* rows, std::size_t at, std::byte* out) {
  std::uint32_t bits[kTileRows];
  for (std::size_t r = 0; r < kTileRows; ++r) std::memcpy(&bits[r], rows[r] + at, 4);
  store16(out, vreinterpretq_u8_u32(transpose_high_bits(vld1q_u32(bits))));
  store16(out + 16, vreinterpretq_u8_u32(transpose_high_bits(vld1q_u32(bits + 4))));
}

void gather_halves(const std::byte* const* rows, std::size_t at, std::byte* out) {
  for (std::size_t r = 0; r < kTileRows; ++r) std::memcpy(out + 2 * r, rows[r] + at, 2);
}

template <class S>
void pack_tile(const std::byte* src, std::size_t row_bytes, std::size_t rows, std::size_t cols,
               std::byte* tile) {
  if (rows < kTileRows) return pack_rows<S, kTileRows>(src, row_bytes, rows, cols, tile);
  using P = Packed<packed_kind<S>()>;
  const std::size_t blocks = cols / kBlock;
  constexpr std::size_t block_bytes = P::block_bytes * kTileRows;
  const std::byte* row[kTileRows];
  for (std::size_t r = 0; r < kTileRows; ++r) row[r] = src + r * row_bytes;
  for (std::size_t b = 0; b < blocks; ++b, tile += block_bytes) {
    const std::size_t from = b * S::bytes;
    transpose_sixteen(row, from + S::quants_at, tile);
    if constexpr (P::is_byte) transpose_sixteen(row, from + S::quants_at + 16, tile + 4 * kVector);
    if constexpr (P::has_high) {
      pack_high_bits(row, from + S::high_at, tile + P::highs_at * kTileRows);
    }
    gather_halves(row, from, tile + P::scales_at * kTileRows);
    if constexpr (P::has_min) {
      gather_halves(row, from + S::scale_bytes, tile + P::mins_at * kTileRows);
    }
  }
}

template <class S>
void set(KernelTable& table, Type type) {
  table.types[static_cast<std::size_t>(type)].pack = pack_tile<S>;
}

}  // namespace

void fill_pack(KernelTable& table) {
  fill_pack_rows<kTileRows>(table);
  fill_pack_groups<kTileRows>(table);
  set<Q4_0>(table, Type::q4_0);
  set<Q4_1>(table, Type::q4_1);
  set<Q5_0>(table, Type::q5_0);
  set<Q5_1>(table, Type::q5_1);
  set<Q8_0>(table, Type::q8_0);
}

}  // namespace ggmlkit::neon
