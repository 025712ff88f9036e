// File rows to packed tiles: eight rows at a time, transposed in registers.
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/vector.h"
#include "kernels/generic/pack_groups.h"
#include "kernels/generic/pack_rows.h"

namespace ggmlkit::avx2 {
namespace {

constexpr std::size_t kTileRows = 8;

__m128i load16(const std::byte* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }

void store32(std::byte* p, __m256i v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }

// Dword i of each of eight 16-byte rows, for i = 0 … 3: the quants of a nibble tile are just that,
// as byte j of a file's block holds elements j and j + 16.
void transpose_nibbles(const std::byte* const* rows, std::size_t at, std::byte* out) {
  __m256i pair[4];  // rows r and r + 4
  for (int r = 0; r < 4; ++r) {
    pair[r] = _mm256_set_m128i(load16(rows[r + 4] + at), load16(rows[r] + at));
  }
  const __m256i a = _mm256_unpacklo_epi32(pair[0], pair[1]);
  const __m256i b = _mm256_unpacklo_epi32(pair[2], pair[3]);
  const __m256i c = _mm256_unpackhi_epi32(pair[0], pair[1]);
  const __m256i d = _mm256_unpackhi_epi32(pair[2], pair[3]);
  store32(out, _mm256_unpacklo_epi64(a, b));
  store32(out + 32, _mm256_unpackhi_epi64(a, b));
  store32(out + 64, _mm256_unpacklo_epi64(c, d));
  store32(out + 96, _mm256_unpackhi_epi64(c, d));
}

// The fifth bits of eight rows: bit 4k + c of a row's 32 becomes bit k of its byte c, that is bit
// 8c + k. A position (k2 k1 k0 c1 c0) in binary becomes (c1 c0 k2 k1 k0); each step exchanges two
// of the position's binary digits.
__m256i transpose_high_bits(__m256i x) {
  const auto exchange = [&x](std::uint32_t mask, int distance) {
    const __m256i t = _mm256_and_si256(_mm256_xor_si256(x, _mm256_srli_epi32(x, distance)),
                                       _mm256_set1_epi32(static_cast<int>(mask)));
    x = _mm256_xor_si256(x, _mm256_xor_si256(t, _mm256_slli_epi32(t, distance)));
  };
  // Masks pick the lower of each pair of positions that differ in the two digits.
  exchange(0x0000aaaau, 15);  // digits 4 and 0: (c0 k1 k0 c1 k2)
  exchange(0x00cc00ccu, 6);   // digits 3 and 1: (c0 c1 k0 k1 k2)
  exchange(0x0000ff00u, 8);   // digits 4 and 3: (c1 c0 k0 k1 k2)
  exchange(0x0a0a0a0au, 3);   // digits 2 and 0: (c1 c0 k2 k1 k0)
  return x;
}

__m256i gather_u32(const std::byte* const* rows, std::size_t at) {
  std::int32_t v[kTileRows];
  for (std::size_t r = 0; r < kTileRows; ++r) std::memcpy(&v[r], rows[r] + at, 4);
  return _mm256_setr_epi32(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]);
}

void gather_halves(const std::byte* const* rows, std::size_t at, std::byte* out) {
  for (std::size_t r = 0; r < kTileRows; ++r) std::memcpy(out + 2 * r, rows[r] + at, 2);
}

void transpose_bytes(const std::byte* const* rows, std::size_t at, std::byte* out) {
  transpose_nibbles(rows, at, out);  // quads 0 … 3, then 4 … 7
  transpose_nibbles(rows, at + 16, out + 128);
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
    if constexpr (!P::is_byte) prefetch_next<3>(next, kTileRows * S::bytes, b);
    const std::size_t from = b * S::bytes;
    if constexpr (P::is_byte) {
      transpose_bytes(row, from + S::quants_at, tile);
    } else {
      transpose_nibbles(row, from + S::quants_at, tile);
    }
    if constexpr (P::has_high) {
      store32(tile + P::highs_at * kTileRows,
              transpose_high_bits(gather_u32(row, from + S::high_at)));
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

}  // namespace ggmlkit::avx2
