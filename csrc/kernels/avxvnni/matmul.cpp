// AVX2 with AVX-VNNI: the AVX2 table, with products by vpdpbusd.
#include "kernels/avx2/file_blocks.h"
#include "kernels/avx2/lanes.h"
#include "kernels/generic/stored_product.h"
#include "kernels/generic/tile_matmul.h"

namespace ggmlkit {
namespace {

struct AvxVnni {
  struct Lanes : Lanes256 {
    static Int dpbusd(Int sum, Int w, Int a) { return _mm256_dpbusd_avx_epi32(sum, w, a); }
  };
  using Blocks = FileBlocks256;
  template <PackedKind kind>
  using Dot = Dpbusd<Lanes, kind>;
  static constexpr int tiles = 2;
  static constexpr int tokens = 4;
  static constexpr bool expands_bytes = true;
};

KernelTable make() {
  KernelTable table = avx2_table();
  table.name = "avxvnni";
  fill_tile_matmul<AvxVnni, TileProduct>(table);
  fill_stored_products<AvxVnni>(table);
  return table;
}

}  // namespace

const KernelTable& avxvnni_table() {
  static const KernelTable table = make();
  return table;
}

}  // namespace ggmlkit
