// Packed tiles and products of quantized weights.
#pragma once

#include <algorithm>
#include <vector>

#include "checked.h"
#include "core/aligned.h"
#include "kernels/generic/pack_groups.h"
#include "kernels/generic/pack_rows.h"

namespace ggmlkit::check {
namespace {

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
    for (const std::size_t cols : {1024, 1056, 2080}) {
      check_product(c, type, 9, cols, 37);
      check_product(c, type, 41, cols, 19);
    }
    check_product(c, type, 45, 544, 53);  // an odd number of whole panels, and of tiles
    check_product(c, type, 9, 64, 293);   // more tokens than any set takes at a time
  }
  for (const Type type :
       {Type::q2_K, Type::q3_K, Type::q4_K, Type::q5_K, Type::q6_K, Type::iq4_xs, Type::q2_0}) {
    for (std::size_t tokens = 0; tokens <= 17; ++tokens) {
      check_product(c, type, 13, 512, tokens);
      check_product(c, type, tokens + 16, 256, 3);
    }
    for (const std::size_t cols : {1024, 1280, 2304}) {
      check_product(c, type, 9, cols, 37);
      check_product(c, type, 41, cols, 19);
    }
    check_product(c, type, 45, 768, 53);
  }
  for (const Type type :
       {Type::q4_0, Type::q4_1, Type::q5_0, Type::q5_1, Type::q8_0, Type::q2_K, Type::q3_K,
        Type::q4_K, Type::q5_K, Type::q6_K, Type::iq4_nl, Type::iq4_xs, Type::mxfp4, Type::q2_0}) {
    for (const std::size_t tokens : {1, 7}) check_specification(c, type, 13, tokens);
  }
}

}  // namespace
}  // namespace ggmlkit::check
