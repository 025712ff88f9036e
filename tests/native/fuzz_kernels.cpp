// libFuzzer's entry: random blocks, values and vocabularies through the compiled core. Sets of
// kernels must agree to the bit with the scalar one, and nothing may touch memory outside its own.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "core/aligned.h"
#include "kernels/kernel_table.h"
#include "kernels/layouts/packed_tiles.h"
#include "quant/activations.h"
#include "text/byte_pairs.h"

namespace {

using namespace ggmlkit;

// Bytes of the input, taken one after the other.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}

  std::size_t left() const { return left_; }

  std::uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }

  std::string_view text(std::size_t n) {
    n = n < left_ ? n : left_;
    const std::string_view found(reinterpret_cast<const char*>(data_), n);
    data_ += n;
    left_ -= n;
    return found;
  }

  // Memory of its own, so that a sanitizer sees its ends; zeros where the input has ended.
  template <class T>
  std::vector<T> values(std::size_t n) {
    std::vector<T> found(n);
    const std::string_view bytes = text(n * sizeof(T));
    if (!bytes.empty()) std::memcpy(found.data(), bytes.data(), bytes.size());
    return found;
  }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

void require(bool holds) {
  if (!holds) std::abort();
}

// Not a number is as good as any other.
bool same(const std::vector<float>& a, const std::vector<float>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] != a[i] && b[i] != b[i]) continue;
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0) return false;
  }
  return true;
}

Type any_type(Input& in) { return static_cast<Type>(in.byte() % kTypeCount); }

void dequantize(Input& in) {
  const Type type = any_type(in);
  const TypeInfo& t = info(type);
  const auto index = static_cast<std::size_t>(type);
  const auto plain = scalar_table().types[index].dequantize;
  if (plain == nullptr) return;
  const std::size_t blocks = in.byte() % 19;
  const std::size_t n = blocks * t.block_size;
  const auto bytes = in.values<std::byte>(blocks * t.block_bytes);
  std::vector<float> expected(n);
  std::vector<float> got(n);
  plain(bytes.data(), expected.data(), n);
  active().types[index].dequantize(bytes.data(), got.data(), n);
  require(same(expected, got));
}

// What quantizers make of the same values: the same blocks, or neither makes any. `quantize` calls
// one of a table's.
template <class Quantize>
void compare_quantizers(Type type, std::size_t n, Quantize quantize) {
  const auto index = static_cast<std::size_t>(type);
  std::vector<std::byte> expected(row_bytes(type, n));
  std::vector<std::byte> got(row_bytes(type, n));
  const std::size_t whole = quantize(scalar_table().types[index], expected.data());
  const std::size_t ours = quantize(active().types[index], got.data());
  require((whole == n) == (ours == n));
  if (whole == n) require(expected == got);
}

void quantize(Input& in) {
  const Type type = any_type(in);
  if (scalar_table().types[static_cast<std::size_t>(type)].quantize == nullptr) return;
  const std::size_t n = in.byte() % 10 * std::size_t{info(type).block_size};
  const auto values = in.values<float>(n);
  compare_quantizers(type, n, [&](const TypeKernels& kernels, std::byte* out) {
    return kernels.quantize(values.data(), out, n);
  });
}

void quantize_weighted(Input& in) {
  const Type type = any_type(in);
  if (scalar_table().types[static_cast<std::size_t>(type)].quantize_weighted == nullptr) return;
  const std::size_t n = (1 + in.byte() % 4) * std::size_t{info(type).block_size};
  const auto values = in.values<float>(n);
  auto importance = in.values<float>(n);  // what an imatrix may hold: finite, not negative
  for (float& v : importance) v = std::isfinite(v) ? std::fabs(v) : 1.0f;
  compare_quantizers(type, n, [&](const TypeKernels& kernels, std::byte* out) {
    return kernels.quantize_weighted(values.data(), importance.data(), out, n);
  });
}

// Weights of any bits times activations of any bits: memory alone is looked at.
void multiply(Input& in) {
  const Type type = any_type(in);
  const TypeInfo& t = info(type);
  const KernelTable& table = active();
  const auto pack = table.types[static_cast<std::size_t>(type)].pack;
  if (pack == nullptr) return;
  const std::size_t cols = (1 + in.byte() % 4) * std::size_t{t.block_size} * (256 / t.block_size);
  const std::size_t rows = 1 + in.byte() % table.tile_rows;
  const std::size_t tokens = 1 + in.byte() % 19;
  const PackedKind kind = packed_kind_of(type);
  const std::size_t stride = row_bytes(type, cols);
  const auto weights = in.values<std::byte>(rows * stride);
  AlignedArray<std::byte> tile(tile_bytes(kind, table.tile_rows, cols));
  pack(weights.data(), stride, rows, cols, tile.data());
  const auto x = in.values<float>(tokens * cols);
  Activations a(in.byte() % 2 == 0 ? kNoBlock : 1.0f);
  a.quantize(x.data(), tokens, cols);
  std::vector<float> y(tokens * rows);
  table.matmul[static_cast<std::size_t>(kind)](tile.data(), rows, a.view(), tokens, y.data(), rows);
}

void encode(Input& in) {
  std::vector<std::string_view> pieces(in.byte() % 16);
  for (auto& piece : pieces) piece = in.text(in.byte() % 6);
  std::vector<text::BytePairs::Pair> merges(in.byte() % 16);
  for (auto& merge : merges) {
    merge.left = in.text(in.byte() % 4);
    merge.right = in.text(in.byte() % 4);
  }
  const bool whole_words = in.byte() % 2 != 0;
  try {
    const text::BytePairs pairs(pieces, merges, whole_words, text::Fallback{});
    std::vector<text::BytePairs::Token> tokens;
    while (in.left() != 0) pairs.encode(in.text(1 + in.byte() % 32), tokens);
    for (const auto token : tokens) {
      require(token >= 0 && static_cast<std::size_t>(token) < pieces.size());
    }
  } catch (const std::invalid_argument&) {
    // a merge of what is no piece
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  switch (in.byte() % 5) {
    case 0:
      dequantize(in);
      break;
    case 1:
      quantize(in);
      break;
    case 2:
      multiply(in);
      break;
    case 3:
      quantize_weighted(in);
      break;
    default:
      encode(in);
  }
  return 0;
}
