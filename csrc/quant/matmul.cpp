#include "quant/matmul.h"

namespace ggmlkit {
namespace {

// Tokens of one pass over a tile: their int8 rows stay in the second-level cache.
constexpr std::size_t kTokenPanel = 256;

void packed_share(const WeightMatrix& w, const Activations& x, float* y, std::size_t ldy,
                  int thread, int n_threads) {
  const TileKernel kernel = active().tile[static_cast<std::size_t>(w.kind())];
  const std::size_t tiles = (w.rows() + kTileRows - 1) / kTileRows;
  const Range share = split(tiles, thread, n_threads);
  const std::size_t blocks = x.cols() / kBlock;
  for (std::size_t t = 0; t < x.tokens(); t += kTokenPanel) {
    const std::size_t tokens = std::min(kTokenPanel, x.tokens() - t);
    ActivationView view = x.view();
    view.q += t * view.cols;
    view.scale += t * blocks;
    view.sum += t * blocks;
    for (std::size_t i = share.begin; i < share.end; ++i) {
      const std::size_t row = i * kTileRows;
      kernel(w.tile(i), view, tokens, y + t * ldy + row, ldy, std::min(kTileRows, w.rows() - row));
    }
  }
}

void float_share(const WeightMatrix& w, const Activations& x, float* y, std::size_t ldy, int thread,
                 int n_threads) {
  const KernelTable& table = active();
  const FloatKernel kernel = w.float_type() == Type::f32   ? table.matmul_f32
                             : w.float_type() == Type::f16 ? table.matmul_f16
                                                           : table.matmul_bf16;
  const Range share = split(w.rows(), thread, n_threads, 4);
  if (share.begin == share.end) return;
  kernel(w.float_data() + share.begin * row_bytes(w.float_type(), w.cols()),
         share.end - share.begin, w.cols(), x.rows(), x.tokens(), y + share.begin, ldy);
}

}  // namespace

void matmul_share(const WeightMatrix& w, const Activations& x, float* y, std::size_t ldy,
                  int thread, int n_threads) {
  if (w.packed()) {
    packed_share(w, x, y, ldy, thread, n_threads);
  } else {
    float_share(w, x, y, ldy, thread, n_threads);
  }
}

void matmul(const WeightMatrix& w, const float* x, std::size_t tokens, float* y, ThreadPool& pool,
            int threads) {
  Activations a;
  if (w.packed()) {
    a.quantize(x, tokens, w.cols(), pool, threads);
  } else {
    a.attach(x, tokens, w.cols());
  }
  pool.run([&](int thread, int n_threads) { matmul_share(w, a, y, w.rows(), thread, n_threads); },
           threads);
}

}  // namespace ggmlkit
