// Products of float weights, and the decoder's element-wise steps.
#pragma once

#include <vector>

#include "checked.h"

namespace ggmlkit::check {
namespace {

void check_float_product(Checked& c, Type type, FloatKernel found_by, FloatKernel expected_by,
                         std::size_t rows, std::size_t cols, std::size_t tokens) {
  Bytes w(row_bytes(type, rows * cols));
  c.expected(type).quantize(small_numbers(rows * cols, c.random).data(), w.data(), rows * cols);
  const std::vector<float> x = small_numbers(tokens * cols, c.random);
  const std::size_t ldy = rows + 3;
  std::vector<float> found(tokens * ldy, -1234.5f);
  std::vector<float> expected = found;
  found_by(w.data(), rows, cols, x.data(), tokens, found.data(), ldy);
  expected_by(w.data(), rows, cols, x.data(), tokens, expected.data(), ldy);
  c.report.expect(same_bytes(found, expected), said(info(type).name, rows, cols, tokens));
}

void check_float_products(Checked& c) {
  for (const std::size_t rows : {1, 3, 4, 5, 9}) {
    for (const std::size_t cols : {1, 3, 4, 7, 8, 15, 33, 576}) {
      for (std::size_t tokens = 1; tokens <= 9; ++tokens) {
        const auto check = [&](Type type, FloatKernel KernelTable::* slot) {
          check_float_product(c, type, c.table.*slot, c.scalar.*slot, rows, cols, tokens);
        };
        check(Type::f32, &KernelTable::matmul_f32);
        check(Type::f16, &KernelTable::matmul_f16);
        check(Type::bf16, &KernelTable::matmul_bf16);
      }
    }
  }
}

void check_silu(Checked& c) {
  for (const std::size_t n : {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 4001}) {
    std::vector<float> gate(n);
    for (std::size_t i = 0; i < n; ++i) {
      gate[i] = 200.0f * (static_cast<float>(i) / static_cast<float>(n) - 0.5f);
    }
    const std::vector<float> up = small_numbers(n, c.random);
    std::vector<float> found(n);
    std::vector<float> expected(n);
    c.table.silu_mul(gate.data(), up.data(), found.data(), n);
    c.scalar.silu_mul(gate.data(), up.data(), expected.data(), n);
    c.report.expect(close_floats(found, expected, 1e-6f, 1e-30f), "silu_mul, " + std::to_string(n));
  }
}

// Beside e^x both add to one: where the gate is far below zero little is left to be close to.
void check_gelu(Checked& c) {
  for (const std::size_t n : {0, 1, 3, 4, 7, 8, 9, 17, 4001}) {
    std::vector<float> gate(n);
    for (std::size_t i = 0; i < n; ++i) {
      gate[i] = 40.0f * (static_cast<float>(i) / static_cast<float>(n) - 0.5f);
    }
    const std::vector<float> up = small_numbers(n, c.random);
    std::vector<float> found(n);
    std::vector<float> expected(n);
    c.table.gelu_mul(gate.data(), up.data(), found.data(), n);
    c.scalar.gelu_mul(gate.data(), up.data(), expected.data(), n);
    c.report.expect(close_floats(found, expected, 1e-6f, 2e-6f), "gelu_mul, " + std::to_string(n));
  }
}

void check_soft_cap(Checked& c) {
  for (const std::size_t n : {0, 1, 3, 4, 7, 8, 9, 17, 4001}) {
    std::vector<float> found(n);
    for (std::size_t i = 0; i < n; ++i) {
      found[i] = 400.0f * (static_cast<float>(i) / static_cast<float>(n) - 0.5f);
    }
    std::vector<float> expected = found;
    c.table.soft_cap(30.0f, found.data(), n);
    c.scalar.soft_cap(30.0f, expected.data(), n);
    c.report.expect(close_floats(found, expected, 1e-6f, 1e-5f), "soft_cap, " + std::to_string(n));
  }
}

void check_rotations(Checked& c) {
  for (const std::size_t pairs : {0, 1, 3, 4, 7, 8, 9, 16, 33, 64}) {
    const std::vector<float> turns = small_numbers(2 * pairs, c.random);
    for (const auto slot : {&KernelTable::rotate, &KernelTable::rotate_halves}) {
      std::vector<float> found = small_numbers(2 * pairs + 1, c.random);
      std::vector<float> expected = found;
      (c.table.*slot)(found.data(), turns.data(), pairs);
      (c.scalar.*slot)(expected.data(), turns.data(), pairs);
      // Whole numbers: every product and sum is exact.
      c.report.expect(same_bytes(found, expected), "rotation of " + std::to_string(pairs));
    }
  }
}

void check_steps(Checked& c, std::size_t n) {
  const std::vector<float> x = small_numbers(n, c.random);
  const std::vector<float> w = small_numbers(n, c.random);
  const auto both = [&](const char* step, auto run) {
    const std::vector<float> found = run(c.table);
    c.report.expect(close_floats(found, run(c.scalar), 2e-6f, 1e-5f),
                    std::string(step) + ", " + std::to_string(n));
  };
  both("largest", [&](const KernelTable& t) { return std::vector<float>{t.largest(x.data(), n)}; });
  both("exp_and_sum", [&](const KernelTable& t) {
    std::vector<float> y = x;
    y.push_back(t.exp_and_sum(y.data(), n, 16.0f));
    return y;
  });
  both("scale", [&](const KernelTable& t) {
    std::vector<float> y(n + 1, 3.0f);
    t.scale(0.3f, x.data(), y.data(), n);
    return y;
  });
  both("add_scaled", [&](const KernelTable& t) {
    std::vector<float> y(n + 1, 3.0f);
    t.add_scaled(0.3f, x.data(), y.data(), n);
    return y;
  });
  both("rms_norm", [&](const KernelTable& t) {
    std::vector<float> y(n + 1, 3.0f);
    t.rms_norm(x.data(), w.data(), 1e-5f, y.data(), n);
    return y;
  });
  both("rotate", [&](const KernelTable& t) {
    std::vector<float> y = x;
    t.rotate(y.data(), w.data(), n / 2);
    return y;
  });
}

}  // namespace
}  // namespace ggmlkit::check
