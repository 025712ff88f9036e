// Products of one token with rows as a file holds them.
#include "kernels/generic/stored_product.h"
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/file_blocks.h"
#include "kernels/avx2/lanes.h"

namespace ggmlkit::avx2 {
namespace {

struct Avx2 {
  using Lanes = Lanes256;
  using Blocks = FileBlocks256;
  template <PackedKind kind>
  using Dot = Maddubs<Lanes, kind>;
};

}  // namespace

void fill_stored_products(KernelTable& table) { ggmlkit::fill_stored_products<Avx2>(table); }

}  // namespace ggmlkit::avx2
