// Blocks of one scale and elements of two to four levels. Layouts: as in the gguf
// package; q1_0's and q2_0's as in llama.cpp.
#pragma once

#include "kernels/layouts/bytes.h"
#include "kernels/layouts/planes.h"

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

// Five trits a byte, as the fraction v / 243 in units of 1/256, rounded up: times three, what
// carries over is the first. Bytes are in runs like those of planes.h, of 32, 16 and 4 (the last
// with four trits).
struct Tq1_0 {
  static constexpr int size = 256;
  static constexpr int of_tiny = 1;

  std::uint8_t quants[48];
  std::uint8_t high[4];
  std::uint8_t d[2];

  void unpack(std::int8_t* q) const {
    q = unpack_run<32, 5>(quants, q);
    q = unpack_run<16, 5>(quants + 32, q);
    unpack_run<4, 4>(high, q);
  }
  // Elements from 0 to 2.
  void pack(const std::uint8_t* q) {
    pack_run<32, 5>(q, quants);
    pack_run<16, 5>(q + 160, quants + 32);
    pack_run<4, 4>(q + 240, high);
  }

 private:
  template <int Run, int Trits>
  static std::int8_t* unpack_run(const std::uint8_t* bytes, std::int8_t* q) {
    std::uint8_t rest[Run];
    std::memcpy(rest, bytes, Run);
    for (int t = 0; t < Trits; ++t, q += Run) {
      for (int l = 0; l < Run; ++l) {
        const int tripled = rest[l] * 3;
        q[l] = static_cast<std::int8_t>((tripled >> 8) - 1);
        rest[l] = static_cast<std::uint8_t>(tripled);
      }
    }
    return q;
  }
  template <int Run, int Trits>
  static void pack_run(const std::uint8_t* q, std::uint8_t* bytes) {
    for (int l = 0; l < Run; ++l) {
      int v = 0;
      for (int t = 0; t < 5; ++t) v = 3 * v + (t < Trits ? q[t * Run + l] : 0);
      v &= 255;  // the reference's sum is a byte; only elements beyond 2 make it wrap
      bytes[l] = static_cast<std::uint8_t>((v * 256 + 242) / 243);
    }
  }
};

struct Tq2_0 {
  static constexpr int size = 256;
  static constexpr int of_tiny = 1;

  std::uint8_t quants[64];
  std::uint8_t d[2];

  void unpack(std::int8_t* q) const {
    std::uint8_t raw[size];
    unpack_planes<2, 32>(quants, raw);
    for (int j = 0; j < size; ++j) q[j] = static_cast<std::int8_t>(raw[j] - 1);
  }
  void pack(const std::uint8_t* q) { pack_planes<2, 32>(q, quants); }
};

struct Q1_0 {
  static constexpr int size = 128;

  std::uint8_t d[2];
  std::uint8_t signs[16];  // element j at bit j; set for plus

  void unpack(std::int8_t* q) const {
    for (int j = 0; j < size; ++j) {
      q[j] = static_cast<std::int8_t>(((signs[j / 8] >> (j % 8)) & 1) * 2 - 1);
    }
  }
};

// Elements from -1 to 2, though the quantizer writes no 2; neighbours share a byte.
struct Q2_0 {
  static constexpr int size = 64;
  static constexpr int of_tiny = 0;

  std::uint8_t d[2];
  std::uint8_t quants[16];  // element j at bit 2 · (j mod 4) of byte j / 4

  void unpack(std::int8_t* q) const {
    for (int j = 0; j < size; ++j) {
      q[j] = static_cast<std::int8_t>(((quants[j / 4] >> (2 * (j % 4))) & 3) - 1);
    }
  }
  // Eight elements, in the low bits of a byte each, become two bytes.
  void pack(const std::uint8_t* q) {
    for (std::size_t i = 0; i < size / 8; ++i) {
      auto x = load_at<std::uint64_t>(q, i);
      x = (x | x >> 6) & 0x000f000f000f000fu;
      x |= x >> 12;
      quants[2 * i] = static_cast<std::uint8_t>(x);
      quants[2 * i + 1] = static_cast<std::uint8_t>(x >> 32);
    }
  }
};

static_assert(sizeof(Tq1_0) == 54 && sizeof(Tq2_0) == 66);
static_assert(sizeof(Q1_0) == 18 && sizeof(Q2_0) == 18);

}  // namespace
}  // namespace ggmlkit
