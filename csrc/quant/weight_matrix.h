// A weight matrix prepared for matmul: quantized rows are packed into tiles
// (kernels/layouts/packed_tiles.h), float rows are used in place.
#pragma once

#include <cstddef>
#include <vector>

#include "core/arena.h"
#include "core/thread_pool.h"
#include "core/types.h"
#include "kernels/kernel_table.h"

namespace ggmlkit {

// When quantized rows are packed: once into an arena, or in each product, a tile at a time, from
// the file's bytes, which other processes can share.
enum class Packing { at_load, at_use };

class WeightMatrix {
 public:
  WeightMatrix() = default;

  // `data` is in file layout: rows × row_bytes(type, cols). Float types, and all that are packed on
  // use, keep pointing at it, so it must outlive the matrix; all others get room in the arena,
  // which `pack` fills. Scales that are float32 in the file are rounded to float16. Types without a
  // packed form become float16 values. Throws std::invalid_argument if the type has no kernel or
  // cols is not a multiple of its block size.
  WeightMatrix(Type type, std::size_t rows, std::size_t cols, const std::byte* data, Arena& arena,
               Packing packing = Packing::at_load);

  Type type() const { return type_; }
  std::size_t rows() const { return rows_; }
  std::size_t cols() const { return cols_; }
  // Memory in the arena: 0 if the file's bytes are used.
  std::size_t nbytes() const { return own_bytes_; }
  const std::byte* own_data() const { return own_; }
  const std::byte* file_data() const { return file_; }

  // Whether products take packed tiles and quantized activations.
  bool is_packed() const { return kind_ != PackedKind::count; }
  PackedKind kind() const { return kind_; }
  std::size_t tile_bytes() const { return tile_bytes_; }
  std::size_t tiles() const;
  // Tile i, if tiles are packed at load.
  const std::byte* tile(std::size_t i) const { return own_ + i * tile_bytes_; }
  bool packs_at_use() const { return is_packed() && file_ != nullptr; }
  // Packs tile i into `out`, tile_bytes() aligned to 64.
  void pack_tile(std::size_t i, const std::byte* rows, std::byte* out) const;
  void pack_tile(std::size_t i, std::byte* out) const { pack_tile(i, file_, out); }

  // The pieces (tiles or rows) of nbytes() that still have to be made from the data, and a function
  // that makes one of them.
  std::size_t pieces() const {
    return own_bytes_ == 0 || source_ == nullptr ? 0 : is_packed() ? tiles() : rows_;
  }
  void make_piece(std::size_t i) const;
  void let_go_of_source() { source_ = nullptr; }

  // Float matrices: rows in file layout, of float_type().
  const std::byte* float_data() const { return file_ != nullptr ? file_ : own_; }
  Type float_type() const { return float_type_; }

 private:
  void take(Arena& arena, std::size_t bytes, const std::byte* source);

  Type type_ = Type::f32;
  std::size_t rows_ = 0;
  std::size_t cols_ = 0;
  PackedKind kind_ = PackedKind::count;
  std::size_t tile_bytes_ = 0;
  Type float_type_ = Type::f32;
  const std::byte* source_ = nullptr;  // until it is packed
  const std::byte* file_ = nullptr;
  std::byte* own_ = nullptr;
  std::size_t own_bytes_ = 0;
};

// Fills the matrices' room in the arena, if not done yet. Threads divide the bytes of all matrices,
// not of each, so that a small matrix needs no barrier and every thread touches its own large pages
// first.
void pack(const std::vector<WeightMatrix*>& matrices, ThreadPool& pool, int threads);

}  // namespace ggmlkit
