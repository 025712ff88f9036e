#include "quant/stored_scales.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/convert.h"

namespace ggmlkit {
namespace {

constexpr std::size_t kNone = ~std::size_t{0};

// The places in a block of the numbers that must be finite.
struct Fields {
  std::size_t scale = kNone;
  std::size_t minimum = kNone;
  // The greatest factor of a float32 scale; 0 if scales are float16.
  float levels = 0.0f;
  // The float16 scale is in the upper four bits of four words.
  bool is_spread = false;
};

Fields fields_of(Type type) {
  switch (type) {
    case Type::q4_0:
    case Type::q5_0:
    case Type::q8_0:
    case Type::q5_0_v1:
    case Type::q4_2:
    case Type::iq4_nl:
    case Type::iq4_xs:
    case Type::iq1_s:
    case Type::iq2_xxs:
    case Type::iq2_xs:
    case Type::iq2_s:
    case Type::iq3_xxs:
    case Type::iq3_s:
    case Type::q2_0:
      return {0};
    case Type::q4_1:
    case Type::q5_1:
    case Type::q5_1_v1:
    case Type::q4_3:
    case Type::q4_K:
    case Type::q5_K:
      return {0, 2};
    case Type::q2_K:
      return {80, 82};
    case Type::q3_K:
      return {108};
    case Type::q6_K:
      return {208};
    case Type::tq1_0:
      return {52};
    case Type::tq2_0:
      return {64};
    case Type::iq1_m:
      return {48, kNone, 0.0f, true};
    case Type::q4_0_v1:
    case Type::q4_0_v2:
      return {0, kNone, 8.0f};
    case Type::q8_0_v2:
      return {0, kNone, 127.0f};
    case Type::q4_1_v1:
    case Type::q4_1_v2:
      return {0, 4, 15.0f};
    default:  // f32, and mxfp4, whose greatest value is below float32's
      return {};
  }
}

std::uint16_t half_at(const std::byte* p) {
  std::uint16_t bits;
  std::memcpy(&bits, p, sizeof bits);
  return bits;
}

float float_at(const std::byte* p) {
  float value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

constexpr std::uint16_t kHalf = 0x7c00u;  // infinity: numbers that aren't finite aren't below it
constexpr std::uint16_t kBfloat = 0x7f80u;
constexpr std::uint16_t kMagnitude = 0x7fffu;

bool is_infinite_half(const std::byte* p) { return (half_at(p) & kMagnitude) >= kHalf; }

// The half whose nibbles are the upper ones of four words.
std::uint16_t spread_half_at(const std::byte* p) {
  unsigned bits = 0;
  for (int k = 0; k < 4; ++k) bits |= static_cast<unsigned>(half_at(p + 2 * k)) >> 12 << (4 * k);
  return static_cast<std::uint16_t>(bits);
}

// A loop that compilers vectorize; the sum of a number that isn't finite carries into the sign bit.
bool all_below(std::uint16_t infinity, const std::byte* p, std::size_t n) {
  const auto rest = static_cast<std::uint16_t>(0x8000u - infinity);
  std::uint16_t carried = 0;
#pragma GCC unroll 4
  for (std::size_t i = 0; i < n; ++i) {
    const auto magnitude = static_cast<std::uint16_t>(half_at(p + 2 * i) & kMagnitude);
    carried = static_cast<std::uint16_t>(carried | static_cast<std::uint16_t>(magnitude + rest));
  }
  return carried < 0x8000u;
}

// The first number that is not finite although its float was.
std::size_t first_overflow(std::uint16_t infinity, const float* src, const std::byte* p,
                           std::size_t n) {
  if (all_below(infinity, p, n)) return n;
  for (std::size_t i = 0; i < n; ++i) {
    if ((half_at(p + 2 * i) & kMagnitude) >= infinity && std::isfinite(src[i])) return i;
  }
  return n;
}

// Greater than any product of a float16 scale and a block's integers, 65504 · 32 · 127. Sums of the
// squares of such numbers can overflow: the search for a group's scale then gives zero, although
// the scales of other groups can be finite. A search can also ignore a value with little weight,
// however large it is.
constexpr std::uint32_t kAboveHalfScales = 0x4d800000u;  // 2^28

bool any_above_half_scales(const float* x, std::size_t n) {
  std::uint32_t carried = 0;  // into the sign bit
  for (std::size_t i = 0; i < n; ++i) {
    carried |= (float_bits(x[i]) & 0x7fffffffu) + (0x80000000u - kAboveHalfScales);
  }
  return carried >> 31 != 0;
}

// Whether all halves `bytes` apart are finite.
bool all_finite_apart(const std::byte* p, std::size_t bytes, std::size_t count) {
  std::uint32_t largest[4] = {};
  const auto add = [&largest](std::size_t k, const std::byte* half) {
    largest[k] = std::max<std::uint32_t>(largest[k], half_at(half) & kMagnitude);
  };
  std::size_t b = 0;
  for (; b + 4 <= count; b += 4, p += 4 * bytes) {
    for (std::size_t k = 0; k < 4; ++k) add(k, p + k * bytes);
  }
  for (; b < count; ++b, p += bytes) add(0, p);
  return *std::max_element(largest, largest + 4) < kHalf;
}

bool is_lost(const Fields& at, const float* x, const std::byte* block, std::size_t size) {
  if (at.is_spread) {
    return (spread_half_at(block + at.scale) & kMagnitude) >= kHalf ||
           any_above_half_scales(x, size);
  }
  if (at.levels == 0.0f) {
    if (is_infinite_half(block + at.scale)) return true;
    if (at.minimum != kNone && is_infinite_half(block + at.minimum)) return true;
    return any_above_half_scales(x, size);
  }
  const float minimum = at.minimum == kNone ? 0.0f : float_at(block + at.minimum);
  return !std::isfinite(float_at(block + at.scale) * at.levels + minimum);
}

}  // namespace

std::size_t first_lost(Type type, const float* src, const std::byte* blocks, std::size_t n,
                       bool weighted) {
  if (type == Type::f16) return first_overflow(kHalf, src, blocks, n);
  if (type == Type::bf16) return first_overflow(kBfloat, src, blocks, n);
  const Fields at = fields_of(type);
  const std::size_t size = info(type).block_size;
  const std::size_t bytes = info(type).block_bytes;
  if (at.scale == kNone) return n;
  // Other scales are fractions of the greatest weight: a number is lost only if a scale is.
  const bool is_searched = weighted || size > 32 || type == Type::iq4_nl;
  if (!is_searched && at.levels == 0.0f) {
    const auto all_finite = [&](std::size_t field) {
      return field == kNone || all_finite_apart(blocks + field, bytes, n / size);
    };
    if (all_finite(at.scale) && all_finite(at.minimum)) return n;
  }
  for (std::size_t i = 0; i < n; i += size, blocks += bytes) {
    if (is_lost(at, src + i, blocks, size)) return i;
  }
  return n;
}

std::size_t first_not_finite_half(const std::byte* halves, std::size_t n) {
  if (all_below(kHalf, halves, n)) return n;
  std::size_t i = 0;
  while (!is_infinite_half(halves + 2 * i)) ++i;
  return i;
}

}  // namespace ggmlkit
