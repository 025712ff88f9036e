#include "quant/matmul.h"

#include <algorithm>

#include "kernels/layouts/packed_tiles.h"

namespace ggmlkit {
namespace {

// Tokens of one pass over the weights, in whole panels: their quantized rows, with one or two bytes
// per element, stay in the second-level cache.
std::size_t tokens_of_pass(std::size_t cols) {
  constexpr std::size_t kMost = 256;
  constexpr std::size_t kElements = 3 << 18;
  const std::size_t panels = kElements / cols / kMatrixPanel;
  return std::clamp(panels * kMatrixPanel, kMatrixPanel, kMost);
}

// Packed bytes of one kernel call for many tokens, or of one packing on use: they stay in or near
// the first-level cache while all tokens of the panel use them.
constexpr std::size_t kWeightPanel = 1 << 14;

// Scratch for tiles that are packed on use; one per thread, kept between calls.
std::byte* packing_room(std::size_t bytes) {
  thread_local AlignedArray<std::byte> room;
  room.resize(bytes);
  return room.data();
}

// Computes one token's product from the file's rows without packing, if a kernel can; returns
// whether it did.
bool multiplied_as_stored(const WeightMatrix& w, const Activations& x, Range tokens, float* y,
                          Range share) {
  const auto product = active().types[static_cast<std::size_t>(w.type())].multiply_stored;
  if (product == nullptr || !w.packs_at_use() || tokens.size() != 1) return false;
  const ActivationView token = panel_at(x.view(), tokens.begin);
  if (*token.counts < kLeastStored) return false;
  const std::size_t stride = row_bytes(w.type(), w.cols());
  product(w.file_data() + share.begin * stride, stride, share.size(), token, y);
  return true;
}

void packed_rows(const WeightMatrix& w, const Activations& x, Range tokens, float* y,
                 std::size_t ldy, Range share) {
  const MatmulKernel kernel = active().matmul[static_cast<std::size_t>(w.kind())];
  const std::size_t tile_rows = active().tile_rows;
  // Tiles in pairs, except for a single token that packs on use: one tile of scratch.
  const std::size_t pair = w.packs_at_use() && tokens.size() == 1 ? 1 : 2;
  const std::size_t step = std::max(pair, kWeightPanel / w.tile_bytes() / 2 * 2);
  std::byte* room = w.packs_at_use() ? packing_room(step * w.tile_bytes()) : nullptr;
  const std::size_t last = (share.end + tile_rows - 1) / tile_rows;
  const std::size_t pass = tokens_of_pass(w.cols());
  for (std::size_t t = tokens.begin; t < tokens.end; t += pass) {
    const std::size_t count = std::min(tokens.end - t, pass);
    for (std::size_t i = share.begin / tile_rows; i < last; i += step) {
      const std::size_t end = std::min(last, i + step);
      if (room != nullptr) {
        for (std::size_t j = i; j < end; ++j) w.pack_tile(j, room + (j - i) * w.tile_bytes());
      }
      const std::size_t row = i * tile_rows;
      const std::size_t rows = std::min(w.rows(), end * tile_rows) - row;
      kernel(room != nullptr ? room : w.tile(i), rows, panel_at(x.view(), t), count,
             y + (t - tokens.begin) * ldy + (row - share.begin), ldy);
    }
  }
}

void float_rows(const WeightMatrix& w, const Activations& x, Range tokens, float* y,
                std::size_t ldy, Range share) {
  const KernelTable& table = active();
  const FloatKernel kernel = w.float_type() == Type::f32   ? table.matmul_f32
                             : w.float_type() == Type::f16 ? table.matmul_f16
                                                           : table.matmul_bf16;
  kernel(w.float_data() + share.begin * row_bytes(w.float_type(), w.cols()), share.size(), w.cols(),
         x.rows() + tokens.begin * w.cols(), tokens.size(), y, ldy);
}

}  // namespace

bool has_product(Type type) {
  return type == Type::f32 || type == Type::f16 || type == Type::bf16 ||
         active().types[static_cast<std::size_t>(type)].pack != nullptr;
}

std::size_t row_step(const WeightMatrix& w) { return w.is_packed() ? 2 * active().tile_rows : 4; }

void matmul_rows(const WeightMatrix& w, const Activations& x, Range tokens, float* y,
                 std::size_t ldy, Range rows) {
  if (rows.begin == rows.end || tokens.begin == tokens.end) return;
  if (w.cols() == 0) {  // nothing to pack, quantize or distribute
    for (std::size_t t = 0; t < tokens.size(); ++t) std::fill_n(y + t * ldy, rows.size(), 0.0f);
  } else if (w.is_packed()) {
    if (multiplied_as_stored(w, x, tokens, y, rows)) return;
    packed_rows(w, x, tokens, y, ldy, rows);
  } else {
    float_rows(w, x, tokens, y, ldy, rows);
  }
}

void matmul_share(const WeightMatrix& w, const Activations& x, float* y, std::size_t ldy,
                  int thread, int n_threads) {
  const Range rows = split(w.rows(), thread, n_threads, row_step(w));
  matmul_rows(w, x, {0, x.tokens()}, y + rows.begin, ldy, rows);
}

void matmul(const WeightMatrix& w, const float* x, std::size_t tokens, float* y, ThreadPool& pool,
            int threads) {
  Activations a;
  if (w.is_packed()) {
    a.quantize(x, tokens, w.cols(), pool, threads);
  } else {
    a.attach(x, tokens, w.cols());
  }
  pool.run([&](int thread, int n_threads) { matmul_share(w, a, y, w.rows(), thread, n_threads); },
           threads);
}

}  // namespace ggmlkit
