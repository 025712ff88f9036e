// Numbers stored one by one, and bytes with a scale, to float32.
#include "kernels/layouts/bytes.h"
#include "kernels/scalar/scalar.h"

namespace ggmlkit {
namespace {

// Rounded to nearest where float32 has no such number, as any cast is.
template <class T>
void dequantize_numbers(const std::byte* src, float* dst, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) dst[i] = static_cast<float>(load_at<T>(src, i));
}

// The two types that llama.cpp quantizes activations to. Their sums are for products alone.
struct Q8_1 {
  static constexpr int size = 32;
  std::uint8_t d[2];
  std::uint8_t sum[2];
  std::uint8_t quants[32];
  float scale() const { return half_at(d); }
};

struct Q8K {
  static constexpr int size = 256;
  std::uint8_t d[4];
  std::uint8_t quants[256];
  std::uint8_t sums[32];
  float scale() const { return load_at<float>(d); }
};

static_assert(sizeof(Q8_1) == 36 && sizeof(Q8K) == 292);

template <class B>
void dequantize_bytes(const std::byte* src, float* dst, std::size_t n) {
  for (std::size_t b = 0; b < n / B::size; ++b, dst += B::size) {
    const B& block = block_at<B>(src, b);
    const float d = block.scale();
    for (int j = 0; j < B::size; ++j) {
      dst[j] = d * static_cast<float>(static_cast<std::int8_t>(block.quants[j]));
    }
  }
}

}  // namespace

void fill_scalar_plain(KernelTable& table) {
  const auto set = [&](Type type, auto kernel) {
    table.types[static_cast<std::size_t>(type)].dequantize = kernel;
  };
  set(Type::i8, dequantize_numbers<std::int8_t>);
  set(Type::i16, dequantize_numbers<std::int16_t>);
  set(Type::i32, dequantize_numbers<std::int32_t>);
  set(Type::i64, dequantize_numbers<std::int64_t>);
  set(Type::f64, dequantize_numbers<double>);
  set(Type::q8_1, dequantize_bytes<Q8_1>);
  set(Type::q8_K, dequantize_bytes<Q8K>);
}

}  // namespace ggmlkit
