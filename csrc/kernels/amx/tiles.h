// AMX's eight tile registers, by number. A tile is up to 16 rows of up to 64 bytes; tile_dot
// multiplies bfloat16, two at a time, onto float32 sums:
//   sums[m][n] += Σ_k a[m][k] · b[k / 2][n][k % 2]
//
// The instructions are written out, as GCC 12's intrinsics do not say which memory they read: it
// then leaves out the stores that fill it. For tests on other processors (GGMLKIT_SIMDE) they are
// plain loops.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace ggmlkit {
namespace {

// What ldtilecfg reads.
struct alignas(64) TileShapes {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

#if defined(GGMLKIT_SIMDE)

struct EmulatedTile {
  std::size_t rows;
  std::size_t row_bytes;
  std::int8_t bytes[16][64];
};
thread_local EmulatedTile emulated_tile[8];

inline void use_tiles(const TileShapes& shapes) {
  for (int i = 0; i < 8; ++i) emulated_tile[i] = {shapes.rows[i], shapes.row_bytes[i], {}};
}
inline void release_tiles() { use_tiles(TileShapes()); }

template <int tile>
void tile_zero() {
  std::memset(emulated_tile[tile].bytes, 0, sizeof emulated_tile[tile].bytes);
}
template <int tile>
void tile_load(const void* from, std::size_t step) {
  EmulatedTile& t = emulated_tile[tile];
  for (std::size_t r = 0; r < t.rows; ++r) {
    std::memcpy(t.bytes[r], static_cast<const std::int8_t*>(from) + r * step, t.row_bytes);
  }
}
template <int tile>
void tile_store(void* to, std::size_t step) {
  const EmulatedTile& t = emulated_tile[tile];
  for (std::size_t r = 0; r < t.rows; ++r) {
    std::memcpy(static_cast<std::int8_t*>(to) + r * step, t.bytes[r], t.row_bytes);
  }
}
inline float emulated_value(const EmulatedTile& tile, std::size_t row, std::size_t i) {
  std::uint32_t bits = 0;
  std::memcpy(reinterpret_cast<char*>(&bits) + 2, tile.bytes[row] + 2 * i, 2);
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
template <int sums, int a, int b>
void tile_dot() {
  EmulatedTile& c = emulated_tile[sums];
  for (std::size_t m = 0; m < c.rows; ++m) {
    for (std::size_t n = 0; n < c.row_bytes / 4; ++n) {
      float sum;
      std::memcpy(&sum, c.bytes[m] + 4 * n, 4);
      for (std::size_t k = 0; k < emulated_tile[a].row_bytes / 2; ++k) {
        sum += emulated_value(emulated_tile[a], m, k) *
               emulated_value(emulated_tile[b], k / 2, 2 * n + k % 2);
      }
      std::memcpy(c.bytes[m] + 4 * n, &sum, 4);
    }
  }
}

#else

inline void use_tiles(const TileShapes& shapes) { asm volatile("ldtilecfg %0" : : "m"(shapes)); }
// Threads without tiles in use are cheaper to switch to.
inline void release_tiles() { asm volatile("tilerelease"); }

template <int tile>
void tile_zero() {
  asm volatile("tilezero %%tmm%c0" : : "i"(tile));
}
template <int tile>
void tile_load(const void* from, std::size_t step) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(step), "i"(tile) : "memory");
}
template <int tile>
void tile_store(void* to, std::size_t step) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(step), "i"(tile) : "memory");
}
template <int sums, int a, int b>
void tile_dot() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sums), "i"(a), "i"(b));
}

#endif

}  // namespace
}  // namespace ggmlkit
