// Compares every slot of the instruction sets named on the command line with scalar's, or with
// the layout's plain template where rows are packed. Needs no Python, so that it also runs where
// only an emulator stands for the processor. Exits 1 where a slot differs, 2 where a set is
// refused.
#include <algorithm>
#include <exception>

#include "core/aligned.h"
#include "inputs.h"
#include "kernels/generic/pack_groups.h"
#include "kernels/generic/pack_rows.h"
#include "kernels/layouts/kv_group.h"
#include "report.h"

namespace ggmlkit::check {
namespace {

std::string said(const char* slot, Type type, std::size_t n) {
  return std::string(slot) + " " + info(type).name + ", " + std::to_string(n);
}

std::string said(const char* slot, std::size_t rows, std::size_t cols, std::size_t tokens) {
  return std::string(slot) + ", " + std::to_string(rows) + " rows of " + std::to_string(cols) +
         ", " + std::to_string(tokens) + " tokens";
}

struct Checked {
  const KernelTable& table;
  const KernelTable& scalar;
  Report& report;
  Random random;

  const TypeKernels& kernels(Type type) const { return table.types[index(type)]; }
  const TypeKernels& expected(Type type) const { return scalar.types[index(type)]; }
  static std::size_t index(Type type) { return static_cast<std::size_t>(type); }
};

template <class Function>
void for_types(Function f) {
  for (std::size_t i = 0; i < kTypeCount; ++i) f(static_cast<Type>(i));
}

// ---------------------------------------------------------------- rounding

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
  const bool writes = c.expected(type).quantize != nullptr;
  const std::size_t block = std::max<std::size_t>(kBlock, info(type).block_size);
  for (const std::size_t blocks : {0, 1, 2, 3, 1000}) {
    const std::size_t n = blocks * block;
    if (writes) check_quantize(c, type, awkward(n, c.random));
    if (c.expected(type).quantize_weighted != nullptr) {
      check_quantize_weighted(c, type, awkward(n, c.random));
    }
    check_dequantize(c, type, random_bytes(row_bytes(type, n) + 1, c.random), n);
  }
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

// ---------------------------------------------------------------- packed tiles

void check_pack(Checked& c, Type type, std::size_t cols) {
  KernelTable plain{};
  if (c.table.tile_rows == 16) {
    fill_pack_rows<16>(plain);
    fill_pack_groups<16>(plain);
  } else {
    fill_pack_rows<8>(plain);
    fill_pack_groups<8>(plain);
  }
  const std::size_t stride = row_bytes(type, cols) + 3;
  const std::size_t bytes = tile_bytes(packed_kind_of(type), c.table.tile_rows, cols);
  for (std::size_t rows = 1; rows <= c.table.tile_rows; ++rows) {
    Bytes file(stride * rows + 1);
    for (std::size_t r = 0; r < rows; ++r) {
      const std::vector<float> x = awkward(cols, c.random);
      c.expected(type).quantize(x.data(), file.data() + 1 + r * stride, cols);
    }
    AlignedArray<std::byte> found(bytes);
    AlignedArray<std::byte> expected(bytes);
    std::memset(found.data(), 0x55, bytes);
    std::memset(expected.data(), 0x55, bytes);
    c.kernels(type).pack(file.data() + 1, stride, rows, cols, found.data());
    plain.types[Checked::index(type)].pack(file.data() + 1, stride, rows, cols, expected.data());
    c.report.expect(std::memcmp(found.data(), expected.data(), bytes) == 0,
                    said("pack", type, rows));
  }
}

// The largest and smallest that fields of scales hold, now and then; else what they hold.
template <std::size_t n>
void extreme_now_and_then(std::uint8_t (&bytes)[n], Random& random) {
  const int kind = whole(random, 0, 3);
  if (kind < 2) std::memset(bytes, kind == 0 ? 0x7f : 0x80, n);
}

// Scales of a block of random bytes: powers of two, in blocks of 256 with whole numbers beside
// them, so that sums are exact.
void set_scales(Type type, std::byte* block, Random& random) {
  const float scale = whole(random, 0, 1) ? 1.0f : 0.5f;
  const float min = 0.25f * static_cast<float>(whole(random, -4, 4));
  const auto set = [&](auto& nested) { store_half(nested.d, scale); };
  const auto set_both = [&](auto& nested) {
    set(nested);
    store_half(nested.dmin, min);
  };
  switch (type) {
    case Type::q2_K:
      return set_both(block_at<Q2K>(block, 0));
    case Type::q3_K:
      return set(block_at<Q3K>(block, 0));
    case Type::q4_K:
      return set_both(block_at<Q4K>(block, 0));
    case Type::q5_K:
      return set_both(block_at<Q5K>(block, 0));
    case Type::q6_K:
      extreme_now_and_then(block_at<Q6K>(block, 0).scales, random);
      return set(block_at<Q6K>(block, 0));
    case Type::iq4_xs:
      return set(block_at<Iq4Xs>(block, 0));
    case Type::mxfp4:
      block_at<Mxfp4>(block, 0).exponent = static_cast<std::uint8_t>(whole(random, 127, 128));
      return;
    default:
      store_half(block, scale);
      if (type == Type::q4_1 || type == Type::q5_1) store_half(block + 2, min);
  }
}

// Blocks of random bits, every fourth of all set or none, and of scales as above.
Bytes small_blocks(Type type, std::size_t count, Random& random) {
  const std::size_t size = info(type).block_bytes;
  Bytes bytes = random_bytes(size * count, random);
  for (std::size_t b = 0; b < count; ++b) {
    std::byte* block = bytes.data() + b * size;
    const int fill = b % 8 == 3 ? 0 : b % 8 == 7 ? 255 : -1;
    if (fill >= 0) std::memset(block, fill, size);
    if (fill == 0 && type == Type::q8_0) std::memset(block, 0x80, size);
    set_scales(type, block, random);
  }
  return bytes;
}

// The product of rows × cols weights by one table, packed as it likes. Rows of y are longer than
// the product, to show what is written beyond.
std::vector<float> product(const KernelTable& table, Type type, const Bytes& file, std::size_t rows,
                           const RoundedActivations& x, std::size_t tokens) {
  const Panels panels(x, tokens, table.panel);
  const std::size_t stride = row_bytes(type, x.cols);
  const PackedKind kind = packed_kind_of(type);
  const std::size_t bytes = tile_bytes(kind, table.tile_rows, x.cols);
  const std::size_t tiles = (rows + table.tile_rows - 1) / table.tile_rows;
  AlignedArray<std::byte> packed(tiles * bytes);
  for (std::size_t i = 0; i < tiles; ++i) {
    const std::size_t row = i * table.tile_rows;
    table.types[Checked::index(type)].pack(file.data() + row * stride, stride,
                                           std::min(table.tile_rows, rows - row), x.cols,
                                           packed.data() + i * bytes);
  }
  const std::size_t ldy = rows + 3;
  std::vector<float> y(tokens * ldy, -1234.5f);
  table.matmul[static_cast<std::size_t>(kind)](packed.data(), rows, panels.view(), tokens, y.data(),
                                               ldy);
  return y;
}

// The same product from what the file's values are and the rounded activations.
std::vector<double> product_of_values(const KernelTable& scalar, Type type, const Bytes& file,
                                      std::size_t rows, const RoundedActivations& x,
                                      std::size_t tokens) {
  std::vector<float> w(rows * x.cols);
  scalar.types[Checked::index(type)].dequantize(file.data(), w.data(), w.size());
  std::vector<double> y;
  for (std::size_t i = 0; i < tokens * rows; ++i) {
    double sum = 0.0;
    for (std::size_t j = 0; j < x.cols; ++j) {
      sum += static_cast<double>(x.value(i / rows, j)) * w[i % rows * x.cols + j];
    }
    y.push_back(sum);
  }
  return y;
}

// What the specification does is what the file says.
void check_specification(Checked& c, Type type, std::size_t rows, std::size_t tokens) {
  const std::size_t cols = std::max<std::size_t>(kBlock, info(type).block_size) * 3;
  const Bytes file = small_blocks(type, rows * cols / info(type).block_size, c.random);
  const RoundedActivations x(tokens, cols, c.random);
  const auto found = product(c.scalar, type, file, rows, x, tokens);
  const auto expected = product_of_values(c.scalar, type, file, rows, x, tokens);
  double largest = 0.0;
  double wrong = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double y = found[i / rows * (rows + 3) + i % rows];
    largest = std::max(largest, std::fabs(expected[i]));
    wrong = std::max(wrong, std::fabs(y - expected[i]));
  }
  c.report.expect(wrong <= 1e-6 * largest, said("values", type, cols));
}

// Replaces what the specification says of tokens that a table multiplies in bfloat16 by what it
// found for them, where that is close to the product of the rounded values.
void accept_bfloat16(const Checked& c, Type type, const Bytes& file, std::size_t rows,
                     const RoundedActivations& x, std::size_t tokens,
                     const std::vector<float>& found, std::vector<float>& expected) {
  if (c.table.panel != kMatrixPanel) return;
  std::vector<float> w(rows * x.cols);
  c.scalar.types[Checked::index(type)].dequantize(file.data(), w.data(), w.size());
  for (std::size_t t = 0; t < tokens / kMatrixPanel * kMatrixPanel; ++t) {
    for (std::size_t r = 0; r < rows; ++r) {
      double sum = 0.0;
      double magnitude = 0.0;
      for (std::size_t i = 0; i < x.cols; ++i) {
        const double term = static_cast<double>(through_bfloat16(x.value(t, i))) *
                            through_bfloat16(w[r * x.cols + i]);
        sum += term;
        magnitude += std::fabs(term);
      }
      const std::size_t at = t * (rows + 3) + r;
      if (std::fabs(found[at] - sum) <= 1e-5 * magnitude) expected[at] = found[at];
    }
  }
}

// Sums of at most 2^24 are exact whatever their order. Larger ones, of nested scales and many
// blocks, differ by the rounding of floats, which is small beside the largest sum.
void check_product(Checked& c, Type type, std::size_t rows, std::size_t cols, std::size_t tokens) {
  const Bytes file = small_blocks(type, rows * cols / info(type).block_size, c.random);
  const RoundedActivations x(tokens, cols, c.random);
  const auto found = product(c.table, type, file, rows, x, tokens);
  auto expected = product(c.scalar, type, file, rows, x, tokens);
  accept_bfloat16(c, type, file, rows, x, tokens, found, expected);
  float largest = 0.0f;
  for (const float y : expected) largest = std::fmax(largest, std::fabs(y));
  const float rounding = info(type).block_size == kBlock ? 0.0f : 1e-6f * largest;
  c.report.expect(close_floats(found, expected, 0.0f, rounding),
                  said(info(type).name, rows, cols, tokens));
}

// Rows read as the file holds them give the bits that packed ones do.
void check_stored(Checked& c, Type type, std::size_t rows, std::size_t cols) {
  const auto kernel = c.kernels(type).multiply_stored;
  if (kernel == nullptr) return;
  const Bytes file = small_blocks(type, rows * cols / kBlock, c.random);
  const RoundedActivations x(1, cols, c.random);
  const Panels panels(x, 1, c.table.panel);
  if (*panels.view().counts < kLeastStored) return;
  const auto expected = product(c.table, type, file, rows, x, 1);
  std::vector<float> found(expected.size(), -1234.5f);
  kernel(file.data(), row_bytes(type, cols), rows, panels.view(), found.data());
  c.report.expect(same_floats(found, expected),
                  said("stored", type, rows) + " x " + std::to_string(cols));
}

void check_products(Checked& c) {
  for (const Type type : {Type::q4_0, Type::q4_1, Type::q5_0, Type::q5_1, Type::q8_0}) {
    for (std::size_t rows = 0; rows <= 17; ++rows) check_stored(c, type, rows, 1120);
    // All lengths of the last group, and of the last run.
    for (std::size_t blocks = 28; blocks <= 66; ++blocks) check_stored(c, type, 5, 32 * blocks);
    for (std::size_t blocks = 118; blocks <= 146; ++blocks) check_stored(c, type, 3, 32 * blocks);
    check_stored(c, type, 37, 8256);
  }
  for (const Type type :
       {Type::q4_0, Type::q4_1, Type::q5_0, Type::q5_1, Type::q8_0, Type::iq4_nl, Type::mxfp4}) {
    for (std::size_t tokens = 0; tokens <= 17; ++tokens) {
      check_product(c, type, 13, 96, tokens);
    }
    for (const std::size_t rows : {0, 1, 7, 8, 9, 15, 16, 17, 32, 33}) {
      check_product(c, type, rows, 64, 3);
      check_product(c, type, rows, 32, 18);
    }
    // More blocks than any set expands at a time.
    for (const std::size_t cols : {1024, 1056, 2080}) check_product(c, type, 9, cols, 37);
    check_product(c, type, 45, 544, 53);  // an odd number of whole panels, and of tiles
    check_product(c, type, 9, 64, 293);   // more tokens than any set takes at a time
  }
  for (const Type type :
       {Type::q2_K, Type::q3_K, Type::q4_K, Type::q5_K, Type::q6_K, Type::iq4_xs, Type::q2_0}) {
    for (std::size_t tokens = 0; tokens <= 17; ++tokens) {
      check_product(c, type, 13, 512, tokens);
      check_product(c, type, tokens + 16, 256, 3);
    }
    for (const std::size_t cols : {1024, 1280, 2304}) check_product(c, type, 9, cols, 37);
    check_product(c, type, 45, 768, 53);
  }
  for (const Type type :
       {Type::q4_0, Type::q4_1, Type::q5_0, Type::q5_1, Type::q8_0, Type::q2_K, Type::q3_K,
        Type::q4_K, Type::q5_K, Type::q6_K, Type::iq4_nl, Type::iq4_xs, Type::mxfp4, Type::q2_0}) {
    for (const std::size_t tokens : {1, 7}) check_specification(c, type, 13, tokens);
  }
}

// ---------------------------------------------------------------- floats

// Small whole numbers, which all float types hold: exact in any order of summation.
std::vector<float> small_numbers(std::size_t n, Random& random) {
  std::vector<float> x(n);
  for (float& v : x) v = static_cast<float>(whole(random, -16, 16));
  return x;
}

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

// ---------------------------------------------------------------- attention

std::string said(const char* slot, std::size_t rows, std::size_t d, KvType type) {
  return std::string(slot) + (type == KvType::f16 ? " f16, " : " q8_0, ") + std::to_string(rows) +
         " rows of " + std::to_string(d);
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

// ---------------------------------------------------------------- steps of the decoder

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

// ---------------------------------------------------------------- a set

int check_set(const char* name) {
  Report report;
  Checked c{table_named(name), scalar_table(), report, Random(1)};
  for_types([&c](Type type) { check_type(c, type); });
  for (const Type type : {Type::f16, Type::bf16}) check_every_half(c, type);
  check_activations(c);
  for_types([&c](Type type) {
    if (c.expected(type).pack == nullptr) return;
    const std::size_t size = info(type).block_size;
    for (const std::size_t blocks : {1, 2, 3}) check_pack(c, type, blocks * size);
  });
  check_products(c);
  check_float_products(c);
  check_silu(c);
  check_gelu(c);
  check_soft_cap(c);
  check_rotations(c);
  for (std::size_t n = 1; n <= 40; ++n) check_steps(c, n);
  for (const KvType type : {KvType::f16, KvType::q8_0}) {
    for (std::size_t rows = 1; rows <= 9; ++rows) {
      for (const std::size_t d : {4, 7, 32, 48, 64, 77, 128}) check_attention(c, type, rows, d);
    }
  }
  std::printf("%s: %d checks, %d wrong\n", c.table.name, report.checks(), report.failures());
  return report.failures();
}

}  // namespace
}  // namespace ggmlkit::check

int main(int count, char** names) {
  int failures = 0;
  for (int i = 1; i < count; ++i) {
    try {
      failures += ggmlkit::check::check_set(names[i]);
    } catch (const std::exception& refused) {
      std::printf("%s\n", refused.what());
      return 2;
    }
  }
  return failures == 0 ? 0 : 1;
}
