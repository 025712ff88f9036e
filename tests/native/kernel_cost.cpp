// Runs one kernel once on fixed inputs, inside `measured`, for an instruction counter:
//   kernel_cost ISA matmul|stored|quantize|dequantize|pack TYPE [TOKENS]
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/aligned.h"
#include "kernels/layouts/packed_tiles.h"
#include "quant/activations.h"

namespace ggmlkit {
namespace {

constexpr std::size_t kRows = 64;
constexpr std::size_t kCols = 1024;

Type type_named(const std::string& name) {
  for (std::size_t i = 0; i < kTypeCount; ++i) {
    if (name == info(static_cast<Type>(i)).name) return static_cast<Type>(i);
  }
  throw std::invalid_argument("there is no type " + name);
}

// The same on every run: what a kernel does may depend on its input.
std::vector<float> ramp(std::size_t n) {
  std::vector<float> x(n);
  std::uint32_t state = 1;
  for (float& v : x) {
    state = state * 1664525u + 1013904223u;
    v = static_cast<float>(state >> 8) * 0x1p-23f - 1.0f;
  }
  return x;
}

}  // namespace

// The counter is on in this function alone, which it knows by name.
__attribute__((noinline)) void measured(const std::function<void()>& work) {
  work();
  asm volatile("" ::: "memory");
}

int run(const std::string& isa, const std::string& kernel, const std::string& type_name,
        std::size_t tokens) {
  const KernelTable& table = table_named(isa.c_str());
  const Type type = type_named(type_name);
  const TypeKernels& kernels = table.types[static_cast<std::size_t>(type)];
  const std::vector<float> weights = ramp(kRows * kCols);
  const std::size_t row = row_bytes(type, kCols);
  std::vector<std::byte> blocks(kRows * row);
  const auto quantize = [&] { kernels.quantize(weights.data(), blocks.data(), weights.size()); };
  quantize();
  const PackedKind kind = packed_kind_of(type);
  const std::size_t tile = tile_bytes(kind, table.tile_rows, kCols);
  AlignedArray<std::byte> packed(kRows / table.tile_rows * tile);
  const auto pack = [&] {
    for (std::size_t i = 0; i < kRows / table.tile_rows; ++i) {
      kernels.pack(blocks.data() + i * table.tile_rows * row, row, table.tile_rows, kCols,
                   packed.data() + i * tile);
    }
  };
  pack();
  const std::vector<float> x = ramp(tokens * kCols);
  std::vector<float> y(tokens * kRows);
  Activations activations;
  if (kernel == "quantize") {
    measured(quantize);
  } else if (kernel == "pack") {
    measured(pack);
  } else if (kernel == "dequantize") {
    std::vector<float> values(weights.size());
    measured([&] { kernels.dequantize(blocks.data(), values.data(), values.size()); });
  } else if (kernel == "stored" && kernels.multiply_stored != nullptr) {
    activations.quantize(x.data(), 1, kCols);
    measured(
        [&] { kernels.multiply_stored(blocks.data(), row, kRows, activations.view(), y.data()); });
  } else if (kernel == "matmul") {
    activations.quantize(x.data(), tokens, kCols);
    const MatmulKernel matmul = table.matmul[static_cast<std::size_t>(kind)];
    measured([&] { matmul(packed.data(), kRows, activations.view(), tokens, y.data(), kRows); });
  } else {
    throw std::invalid_argument("there is no kernel " + kernel);
  }
  return 0;
}

}  // namespace ggmlkit

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fputs("usage: kernel_cost ISA matmul|stored|quantize|dequantize|pack TYPE [TOKENS]\n",
               stderr);
    return 2;
  }
  try {
    const std::size_t tokens = argc > 4 ? std::strtoul(argv[4], nullptr, 10) : 1;
    return ggmlkit::run(argv[1], argv[2], argv[3], tokens);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kernel_cost: %s\n", error.what());
    return 2;
  }
}
