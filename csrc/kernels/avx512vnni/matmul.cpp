// AVX-512 with VNNI: the AVX-512 table, with products by vpdpbusd.
#include "kernels/avx512/file_blocks.h"
#include "kernels/avx512/lanes.h"
#include "kernels/generic/stored_product.h"
#include "kernels/generic/tile_matmul.h"

namespace ggmlkit {
namespace {

struct Avx512Vnni {
  struct Lanes : Lanes512 {
    static Int dpbusd(Int sum, Int w, Int a) { return _mm512_dpbusd_epi32(sum, w, a); }
  };
  using Blocks = FileBlocks512;
  template <PackedKind kind>
  using Dot = Dpbusd<Lanes, kind>;
  static constexpr int tiles = 2;
  static constexpr int tokens = 8;
  static constexpr bool expands_bytes = true;
};

KernelTable make() {
  KernelTable table = avx512_table();
  table.name = "avx512vnni";
  fill_tile_matmul<Avx512Vnni, TileProduct>(table);
  fill_stored_products<Avx512Vnni>(table);
  return table;
}

}  // namespace

const KernelTable& avx512vnni_table() {
  static const KernelTable table = make();
  return table;
}

}  // namespace ggmlkit
