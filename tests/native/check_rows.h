// Rows: quantize, dequantize, refuse what can't be stored, quantize activations.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "checked.h"
#include "core/aligned.h"
#include "kernels/layouts/scale_groups.h"

namespace ggmlkit::check {
namespace {

// The bytes are read and written at an odd address: files align nothing.
void check_quantize(Checked& c, Type type, const std::vector<float>& x) {
  const std::size_t bytes = row_bytes(type, x.size());
  Bytes found(bytes + 1);
  Bytes expected(bytes + 1);
  const bool whole = c.kernels(type).quantize(x.data(), found.data() + 1, x.size()) == x.size();
  c.expected(type).quantize(x.data(), expected.data() + 1, x.size());
  c.report.expect(whole && same_bytes(found, expected), said("quantize", type, x.size()));
}

void check_quantize_weighted(Checked& c, Type type, const std::vector<float>& x) {
  std::vector<float> importance = awkward(x.size(), c.random);
  for (float& v : importance) v = std::fabs(v);
  Bytes found(row_bytes(type, x.size()) + 1);
  Bytes expected(found.size());
  const auto run = [&](const TypeKernels& kernels, Bytes& out) {
    return kernels.quantize_weighted(x.data(), importance.data(), out.data() + 1, x.size());
  };
  const bool whole = run(c.kernels(type), found) == x.size();
  run(c.expected(type), expected);
  c.report.expect(whole && same_bytes(found, expected),
                  said("quantize by importance", type, x.size()));
}

// Errors that are carried over, and descent, over a few blocks; more rows than a call takes.
void check_calibrate(Checked& c, Type type) {
  const std::size_t group = scale_group(type);
  const std::size_t cols = 2 * std::max<std::size_t>(64, info(type).block_size);
  const std::size_t rows = c.table.calibrated_rows + 1;
  std::vector<float> x = small_numbers(rows * cols, c.random);
  for (float& v : x) v *= 0.013f;
  std::fill_n(x.begin(), cols, 0.0f);
  std::vector<float> diagonal = small_numbers(cols, c.random);
  for (float& v : diagonal) v = std::fabs(v) + 0.1f;
  std::vector<float> upper;
  for (std::size_t g = 0; g < cols / group; ++g) {
    for (std::size_t k = 0; k < (g + 1) * group; ++k) {
      const std::vector<float> row = small_numbers(group, c.random);
      for (std::size_t j = 0; j < group; ++j) {
        const std::size_t column = g * group + j;
        upper.push_back(k == column ? 1.0f : k < column ? row[j] / 256.0f : 0.0f);
      }
    }
  }
  // Any symmetric matrix with a large diagonal will do.
  std::vector<float> hessian(cols * cols);
  for (std::size_t i = 0; i < cols; ++i) {
    for (std::size_t j = 0; j < cols; ++j) {
      const float near = i == j ? 4.0f : 1.0f / static_cast<float>(2 + (i > j ? i - j : j - i));
      hessian[j / group * cols * group + i * group + j % group] = near;
    }
  }
  std::vector<std::uint32_t> order(cols);
  for (std::size_t i = 0; i < cols; ++i) order[i] = static_cast<std::uint32_t>(i);
  const Calibration task{cols, order.data(), diagonal.data(), upper.data(), hessian.data(), 2};
  const auto run = [&](const KernelTable& table) {
    Bytes out(rows * row_bytes(type, cols));
    std::vector<float> scratch(3 * cols * table.calibrated_rows);
    for (std::size_t r = 0; r < rows; r += table.calibrated_rows) {
      table.types[Checked::index(type)].calibrate(
          task, x.data() + r * cols, std::min(table.calibrated_rows, rows - r),
          out.data() + r * row_bytes(type, cols), row_bytes(type, cols), scratch.data());
    }
    return out;
  };
  c.report.expect(same_bytes(run(c.table), run(c.scalar)), said("calibrate", type, cols));
}

void check_dequantize(Checked& c, Type type, const Bytes& blocks, std::size_t n) {
  std::vector<float> found(n);
  std::vector<float> expected(n);
  c.kernels(type).dequantize(blocks.data() + 1, found.data(), n);
  c.expected(type).dequantize(blocks.data() + 1, expected.data(), n);
  c.report.expect(same_floats(found, expected), said("dequantize", type, n));
}

// All before the index that is named are finite, whichever element is not.
void check_refusal(Checked& c, Type type, float bad) {
  const std::size_t block = info(type).block_size;
  for (std::size_t at = 0; at < 2 * block; ++at) {
    std::vector<float> x(3 * block, 1.0f);
    x[at] = bad;
    Bytes out(row_bytes(type, x.size()));
    const std::size_t named = c.kernels(type).quantize(x.data(), out.data(), x.size());
    c.report.expect(named <= at, said("refusal", type, at));
  }
}

void check_type(Checked& c, Type type) {
  const TypeKernels& own = c.kernels(type);
  const TypeKernels& plain = c.expected(type);
  const bool writes = plain.quantize != nullptr;
  const std::size_t block = std::max<std::size_t>(kBlock, info(type).block_size);
  for (const std::size_t blocks :
       {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{3}, 64'000 / block}) {
    const std::size_t n = blocks * block;
    // A set that has scalar's own function shows with a few blocks that it runs.
    const bool few = blocks <= 3;
    if (writes && (few || own.quantize != plain.quantize)) {
      check_quantize(c, type, awkward(n, c.random));
    }
    if (plain.quantize_weighted != nullptr &&
        (few || own.quantize_weighted != plain.quantize_weighted)) {
      check_quantize_weighted(c, type, awkward(n, c.random));
    }
    check_dequantize(c, type, random_bytes(row_bytes(type, n) + 1, c.random), n);
  }
  if (own.calibrate != plain.calibrate) check_calibrate(c, type);
  if (!writes) return;
  if (info(type).block_size > 1) {
    for (const float bad : {NAN, -NAN, HUGE_VALF, -HUGE_VALF}) check_refusal(c, type, bad);
    return;
  }
  for (std::size_t n = 1; n < 32; ++n) {
    check_quantize(c, type, awkward(n, c.random));
    check_dequantize(c, type, random_bytes(row_bytes(type, n) + 1, c.random), n);
  }
  check_quantize(c, type, around_halves());
}

void check_every_half(Checked& c, Type type) {
  Bytes bytes(1 + 2 * 65536);
  for (std::size_t i = 0; i < 65536; ++i) {
    const auto h = static_cast<std::uint16_t>(i);
    std::memcpy(bytes.data() + 1 + 2 * i, &h, 2);
  }
  check_dequantize(c, type, bytes, 65536);
}

// One token's blocks in the last slot of a panel, whose other slots must stay as they were.
struct LastSlot {
  std::vector<std::int8_t> q;
  std::vector<float> scale;
  std::vector<std::int32_t> sum;
  std::vector<std::int32_t> start;
  std::vector<std::int32_t> first;

  LastSlot(const KernelTable& table, const std::vector<float>& x, std::size_t width)
      : q(x.size() * width, 99),
        scale(x.size() / kBlock * width, 99.0f),
        sum(scale.size(), 99),
        start(scale.size(), 99),
        first(scale.size(), 99) {
    const std::size_t slot = width - 1;
    table.quantize_activations(
        x.data(), x.size() / kBlock,
        {q.data() + token_step(width) * slot, scale.data() + slot, sum.data() + slot,
         start.data() + slot, first.data() + slot, width});
  }
  bool operator==(const LastSlot& other) const {
    return q == other.q && same_bytes(scale, other.scale) && sum == other.sum &&
           start == other.start && first == other.first;
  }
};

// One token's blocks in bfloat16, in the last place of a panel.
void check_bfloat16_activations(Checked& c, std::size_t blocks) {
  constexpr std::size_t last = kMatrixPanel - 1;
  const std::vector<float> x = awkward(blocks * kBlock, c.random);
  std::vector<std::int8_t> expected(x.size() * kMatrixPanel * sizeof(std::uint16_t), 99);
  std::vector<std::int8_t> found = expected;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::uint16_t value = bfloat16(x[i]);
    std::memcpy(expected.data() + matrix_place(last, i), &value, sizeof value);
  }
  const ActivationSlot slot{
      found.data() + matrix_place(last, 0), nullptr, nullptr, nullptr, nullptr, kMatrixPanel};
  c.table.quantize_activations(x.data(), blocks, slot);
  c.report.expect(found == expected, "bfloat16, " + std::to_string(blocks) + " blocks");
}

void check_activations(Checked& c) {
  if (c.table.panel == kMatrixPanel) {
    for (const std::size_t blocks : {1, 2, 9, 500}) check_bfloat16_activations(c, blocks);
  }
  for (const std::size_t width : {1, 2, 4, 8}) {
    for (const std::size_t blocks : {1, 2, 9, 500}) {
      const std::vector<float> x = awkward(blocks * kBlock, c.random);
      c.report.expect(
          LastSlot(c.table, x, width) == LastSlot(c.scalar, x, width),
          "activations, " + std::to_string(blocks) + " blocks, panels of " + std::to_string(width));
    }
  }
}

}  // namespace
}  // namespace ggmlkit::check
