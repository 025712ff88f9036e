// Keys and values in KV groups, scores and sums.
#pragma once

#include <vector>

#include "checked.h"
#include "kernels/layouts/kv_group.h"

namespace ggmlkit::check {
namespace {

std::string said(const char* slot, std::size_t rows, std::size_t d, KvType type) {
  const char* name = type == KvType::f16 ? " f16, " : type == KvType::q8_0 ? " q8_0, " : " q4_0, ";
  return slot + (name + std::to_string(rows)) + " rows of " + std::to_string(d);
}

using Store = void (*)(const float*, std::size_t, std::size_t, std::byte*);

// Groups that a set fills are scalar's bit for bit.
Bytes stored(Store store, const std::vector<float>& rows, std::size_t d, KvType type) {
  const std::size_t bytes = kv_group_bytes(type, d);
  const std::size_t positions = rows.size() / d;
  Bytes groups((positions + kKvGroup - 1) / kKvGroup * bytes);
  for (std::size_t p = 0; p < positions; ++p) {
    store(rows.data() + p * d, d, p % kKvGroup, groups.data() + p / kKvGroup * bytes);
  }
  return groups;
}

// Sums of few terms near one: their order moves them by a little.
void check_attention(Checked& c, KvType type, std::size_t rows, std::size_t d) {
  const KvKernels& found = c.table.kv[static_cast<std::size_t>(type)];
  const KvKernels& expected = c.scalar.kv[static_cast<std::size_t>(type)];
  constexpr std::size_t groups = 3;
  constexpr std::size_t positions = groups * kKvGroup - 5;
  constexpr std::size_t ld = groups * kKvGroup + 1;
  const std::vector<float> kept = small_numbers(groups * kKvGroup * d, c.random);
  const Bytes keys = stored(expected.store_key, kept, d, type);
  const Bytes values = stored(expected.store_value, kept, d, type);
  c.report.expect(keys == stored(found.store_key, kept, d, type), said("keys", rows, d, type));
  c.report.expect(values == stored(found.store_value, kept, d, type),
                  said("values", rows, d, type));
  const std::vector<float> q = small_numbers(rows * d, c.random);
  const std::vector<float> weights = small_numbers(rows * ld, c.random);
  std::vector<float> out[2];
  std::vector<float> y[2];
  for (int i = 0; i < 2; ++i) {
    const KvKernels& kv = i == 0 ? found : expected;
    out[i].assign(rows * ld, 7.0f);
    kv.scores(q.data(), rows, d, keys.data(), groups, out[i].data(), ld);
    y[i].assign(rows * d, 1.0f);
    kv.add_values(weights.data(), ld, rows, d, values.data(), positions, y[i].data());
  }
  c.report.expect(close_floats(out[0], out[1], 1e-5f, 0.02f), said("scores", rows, d, type));
  c.report.expect(close_floats(y[0], y[1], 1e-5f, 0.02f), said("add_values", rows, d, type));
}

}  // namespace
}  // namespace ggmlkit::check
