// Products with packed tiles without VNNI.
#include "kernels/avx512/avx512.h"
#include "kernels/avx512/file_blocks.h"
#include "kernels/avx512/lanes.h"
#include "kernels/generic/stored_product.h"
#include "kernels/generic/tile_matmul.h"

namespace ggmlkit::avx512 {
namespace {

struct Avx512 {
  using Lanes = Lanes512;
  using Blocks = FileBlocks512;
  template <PackedKind kind>
  using Dot = Maddubs<Lanes, kind>;
  static constexpr int tiles = 2;
  static constexpr int tokens = 8;
  static constexpr bool expands_bytes = true;
};

}  // namespace

void fill_matmul(KernelTable& table) {
  fill_tile_matmul<Avx512, TileProduct>(table);
  fill_stored_products<Avx512>(table);
}

}  // namespace ggmlkit::avx512
