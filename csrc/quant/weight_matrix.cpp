#include "quant/weight_matrix.h"

#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/blocks.h"
#include "kernels/packed.h"
#include "quant/quantize.h"

namespace ggmlkit {
namespace {

template <class S>
constexpr PackedKind kind_of() {
  if (S::bits == 8) return PackedKind::byte;
  if (S::bits == 5) return S::has_min ? PackedKind::five_min : PackedKind::five;
  return S::has_min ? PackedKind::nibble_min : PackedKind::nibble;
}

// One block of one row into its lanes of a packed block.
template <class S>
void pack_lane(const std::byte* src, std::byte* block, std::size_t row) {
  constexpr PackedLayout L = packed_layout(kind_of<S>());
  Spec<4, false, Scale::f16, Order::halves, 32>::store_scale(block + 2 * row, S::load_scale(src));
  if constexpr (L.has_min) {
    Spec<4, false, Scale::f16, Order::halves, 32>::store_scale(block + L.mins_at + 2 * row,
                                                               S::load_scale(src + S::scale_bytes));
  }
  int q[S::size];
  unpack_block<S>(src, q);
  auto* quants = reinterpret_cast<std::uint8_t*>(block + L.quants_at) + row * 4;
  for (std::size_t k = 0; k < 8; ++k) {
    for (std::size_t c = 0; c < 4; ++c) {
      const int v = q[4 * k + c];
      if constexpr (L.is_byte) {
        quants[k * 32 + c] = static_cast<std::uint8_t>(v);
      } else {
        auto& at = quants[(k % 4) * 32 + c];
        // Quads 0–3 come first and set the byte, quads 4–7 add their nibble.
        at = static_cast<std::uint8_t>(k < 4 ? (v & 15) : at | ((v & 15) << 4));
      }
      if constexpr (L.has_high) {
        auto& high = block[L.highs_at + row * 4 + c];
        if (k == 0) high = std::byte{0};
        high |= static_cast<std::byte>((v >> 4) << k);
      }
    }
  }
}

template <class S>
void pack_tile(const std::byte* src, std::size_t row_bytes, std::size_t rows, std::size_t blocks,
               std::byte* tile) {
  constexpr PackedLayout L = packed_layout(kind_of<S>());
  if (rows < kTileRows) std::memset(tile, 0, blocks * L.block_bytes);
  for (std::size_t b = 0; b < blocks; ++b, tile += L.block_bytes) {
    for (std::size_t r = 0; r < rows; ++r) {
      pack_lane<S>(src + r * row_bytes + b * S::bytes, tile, r);
    }
  }
}

struct Packer {
  PackedKind kind;
  void (*pack)(const std::byte*, std::size_t, std::size_t, std::size_t, std::byte*);
};

template <class S>
Packer packer() {
  return {kind_of<S>(), pack_tile<S>};
}

bool find_packer(Type type, Packer& out) {
  switch (type) {
    case Type::q4_0:
      out = packer<Q4_0>();
      return true;
    case Type::q4_1:
      out = packer<Q4_1>();
      return true;
    case Type::q5_0:
      out = packer<Q5_0>();
      return true;
    case Type::q5_1:
      out = packer<Q5_1>();
      return true;
    case Type::q8_0:
      out = packer<Q8_0>();
      return true;
    case Type::q4_0_v2:
      out = packer<Q4_0V2>();
      return true;
    case Type::q4_1_v2:
      out = packer<Q4_1V2>();
      return true;
    case Type::q8_0_v2:
      out = packer<Q8_0V2>();
      return true;
    case Type::q4_0_v1:
      out = packer<Q4_0V1>();
      return true;
    case Type::q4_1_v1:
      out = packer<Q4_1V1>();
      return true;
    case Type::q5_0_v1:
      out = packer<Q5_0V1>();
      return true;
    case Type::q5_1_v1:
      out = packer<Q5_1V1>();
      return true;
    default:
      return false;
  }
}

}  // namespace

WeightMatrix::WeightMatrix(Type type, std::size_t rows, std::size_t cols, const std::byte* data,
                           ThreadPool& pool, int threads)
    : type_(type), rows_(rows), cols_(cols) {
  const TypeInfo& t = info(type);
  if (!can_dequantize(type) || cols % t.block_size != 0) {
    throw std::invalid_argument(std::string("no matmul for ") + t.name + " rows of " +
                                std::to_string(cols));
  }
  if (type == Type::f32 || type == Type::f16 || type == Type::bf16) {
    float_type_ = type;
    file_ = data;
    return;
  }
  const std::size_t stride = row_bytes(type, cols);
  Packer packer{};
  if (find_packer(type, packer)) {
    packed_ = true;
    kind_ = packer.kind;
    const std::size_t blocks = cols / kBlock;
    const std::size_t tiles = (rows + kTileRows - 1) / kTileRows;
    tile_bytes_ = blocks * packed_layout(kind_).block_bytes;
    own_.resize(tiles * tile_bytes_);
    pool.run(
        [&](int thread, int n_threads) {
          const Range share = split(tiles, thread, n_threads);
          for (std::size_t i = share.begin; i < share.end; ++i) {
            const std::size_t row = i * kTileRows;
            packer.pack(data + row * stride, stride, std::min(kTileRows, rows - row), blocks,
                        own_.data() + i * tile_bytes_);
          }
        },
        threads);
    return;
  }
  float_type_ = Type::f16;
  own_.resize(rows * cols * 2);
  pool.run(
      [&](int thread, int n_threads) {
        const Range share = split(rows, thread, n_threads);
        std::vector<float> row(cols);
        for (std::size_t r = share.begin; r < share.end; ++r) {
          dequantize_row(type, data + r * stride, row.data(), cols);
          active().types[static_cast<std::size_t>(Type::f16)].quantize(
              row.data(), own_.data() + r * cols * 2, cols);
        }
      },
      threads);
}

}  // namespace ggmlkit
