// The tensor types of every GGML generation: one table, read by C++ and Python alike.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ggmlkit {

enum class Type : std::uint8_t {
  f32,
  f16,
  bf16,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  // float32 scales: ggjt v2 (q8_0 also ggjt v1)
  q4_0_v2,
  q4_1_v2,
  q8_0_v2,
  // neighbouring nibbles: ggml, ggmf, ggjt v1
  q4_0_v1,
  q4_1_v1,
  q5_0_v1,
  q5_1_v1,
  q4_2,
  q4_3,
  // k-quants, i-quants, ternary, micro-scaling and plain types, which have one layout
  q8_1,
  q2_K,
  q3_K,
  q4_K,
  q5_K,
  q6_K,
  q8_K,
  iq2_xxs,
  iq2_xs,
  iq3_xxs,
  iq1_s,
  iq4_nl,
  iq3_s,
  iq2_s,
  iq4_xs,
  i8,
  i16,
  i32,
  i64,
  f64,
  iq1_m,
  tq1_0,
  tq2_0,
  mxfp4,
  nvfp4,
  q1_0,
  q2_0,
  count
};

constexpr std::size_t kTypeCount = static_cast<std::size_t>(Type::count);

struct TypeInfo {
  const char* name;
  std::uint32_t ggml_id;
  std::uint32_t block_size;  // elements
  std::uint32_t block_bytes;
  const char* generation;  // "gguf", "ggjt-v2" or "ggjt-v1"
};

const TypeInfo& info(Type type);

inline std::size_t row_bytes(Type type, std::size_t n) {
  return n / info(type).block_size * info(type).block_bytes;
}

}  // namespace ggmlkit
