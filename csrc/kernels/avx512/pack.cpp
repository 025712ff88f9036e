// File rows to packed tiles: sixteen rows at a time, transposed in registers.
#include "kernels/avx512/avx512.h"
#include "kernels/generic/pack_groups.h"
#include "kernels/generic/pack_rows.h"
#include "kernels/simd.h"

namespace ggmlkit::avx512 {
namespace {

constexpr std::size_t kTileRows = 16;
constexpr std::size_t kVector = 64;

__m128i load16(const std::byte* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }

// Dword i of each of sixteen 16-byte rows, for i = 0 … 3: the quants of a nibble tile are just
// that, as byte j of a file's block holds elements j and j + 16.
void transpose_nibbles(const std::byte* const* rows, std::size_t at, std::byte* out) {
  __m512i four[4];  // rows r, r + 4, r + 8 and r + 12
  for (int r = 0; r < 4; ++r) {
    __m512i v = _mm512_castsi128_si512(load16(rows[r] + at));
    v = _mm512_inserti32x4(v, load16(rows[r + 4] + at), 1);
    v = _mm512_inserti32x4(v, load16(rows[r + 8] + at), 2);
    four[r] = _mm512_inserti32x4(v, load16(rows[r + 12] + at), 3);
  }
  const __m512i a = _mm512_unpacklo_epi32(four[0], four[1]);
  const __m512i b = _mm512_unpacklo_epi32(four[2], four[3]);
  const __m512i c = _mm512_unpackhi_epi32(four[0], four[1]);
  const __m512i d = _mm512_unpackhi_epi32(four[2], four[3]);
  _mm512_storeu_si512(out, _mm512_unpacklo_epi64(a, b));
  _mm512_storeu_si512(out + kVector, _mm512_unpackhi_epi64(a, b));
  _mm512_storeu_si512(out + 2 * kVector, _mm512_unpacklo_epi64(c, d));
  _mm512_storeu_si512(out + 3 * kVector, _mm512_unpackhi_epi64(c, d));
}

void transpose_bytes(const std::byte* const* rows, std::size_t at, std::byte* out) {
  transpose_nibbles(rows, at, out);  // quads 0 … 3, then 4 … 7
  transpose_nibbles(rows, at + 16, out + 4 * kVector);
}

// In each row's 32 bits, bit 4k + c becomes bit 8c + k: a permutation of the position's binary
// digits (k2 k1 k0 c1 c0), done by exchanging two at a time.
__m512i transpose_high_bits(__m512i x) {
  const auto exchange = [&x](std::uint32_t mask, unsigned distance) {
    const __m512i t = _mm512_and_si512(_mm512_xor_si512(x, _mm512_srli_epi32(x, distance)),
                                       _mm512_set1_epi32(static_cast<int>(mask)));
    x = _mm512_xor_si512(x, _mm512_xor_si512(t, _mm512_slli_epi32(t, distance)));
  };
  // Masks pick the lower of each pair of positions that differ in the two digits.
  exchange(0x0000aaaau, 15);  // digits 4 and 0: (c0 k1 k0 c1 k2)
  exchange(0x00cc00ccu, 6);   // digits 3 and 1: (c0 c1 k0 k1 k2)
  exchange(0x0000ff00u, 8);   // digits 4 and 3: (c1 c0 k0 k1 k2)
  exchange(0x0a0a0a0au, 3);   // digits 2 and 0: (c1 c0 k2 k1 k0)
  return x;
}

// `bytes` at the same place of each row, one after the other.
template <std::size_t bytes>
void gather(const std::byte* const* rows, std::size_t at, std::byte* out) {
  for (std::size_t r = 0; r < kTileRows; ++r) std::memcpy(out + bytes * r, rows[r] + at, bytes);
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
  const std::byte* next = src + kTileRows * row_bytes;
  for (std::size_t b = 0; b < blocks; ++b, tile += block_bytes) {
    // Rows of bytes are long enough for the processor's own prefetchers, which do better.
    if constexpr (!P::is_byte) prefetch_next<2>(next, kTileRows * S::bytes, b);
    const std::size_t from = b * S::bytes;
    if constexpr (P::is_byte) {
      transpose_bytes(row, from + S::quants_at, tile);
    } else {
      transpose_nibbles(row, from + S::quants_at, tile);
    }
    if constexpr (P::has_high) {
      std::byte* highs = tile + P::highs_at * kTileRows;
      gather<4>(row, from + S::high_at, highs);
      _mm512_storeu_si512(highs, transpose_high_bits(_mm512_loadu_si512(highs)));
    }
    gather<2>(row, from, tile + P::scales_at * kTileRows);
    if constexpr (P::has_min) {
      gather<2>(row, from + S::scale_bytes, tile + P::mins_at * kTileRows);
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

}  // namespace ggmlkit::avx512
