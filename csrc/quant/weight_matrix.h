// A weight matrix made ready for matmul: quantized rows packed into tiles (kernels/packed.h),
// float rows used where they lie.
#pragma once

#include <cstddef>

#include "core/aligned.h"
#include "core/thread_pool.h"
#include "core/types.h"
#include "kernels/kernel_table.h"

namespace ggmlkit {

class WeightMatrix {
 public:
  WeightMatrix() = default;

  // `data` is in file layout: rows × row_bytes(type, cols). Float types keep pointing at it, so it
  // must outlive the matrix; quantized types copy. Float32 scales of the legacy layouts are rounded
  // to float16; layouts with 16-element blocks become float16 values.
  // Throws std::invalid_argument where the type has no kernel or cols is no multiple of its block.
  WeightMatrix(Type type, std::size_t rows, std::size_t cols, const std::byte* data,
               ThreadPool& pool, int threads = 0);

  Type type() const { return type_; }
  std::size_t rows() const { return rows_; }
  std::size_t cols() const { return cols_; }
  // Memory of its own: 0 where the file's bytes are used.
  std::size_t nbytes() const { return own_.size(); }
  const std::byte* own_data() const { return own_.data(); }

  bool packed() const { return packed_; }
  PackedKind kind() const { return kind_; }
  std::size_t tile_bytes() const { return tile_bytes_; }
  const std::byte* tile(std::size_t i) const { return own_.data() + i * tile_bytes_; }
  // Float matrices: rows in file layout, of float_type().
  const std::byte* float_data() const { return file_ != nullptr ? file_ : own_.data(); }
  Type float_type() const { return float_type_; }

 private:
  Type type_ = Type::f32;
  std::size_t rows_ = 0;
  std::size_t cols_ = 0;
  bool packed_ = false;
  PackedKind kind_ = PackedKind::nibble;
  std::size_t tile_bytes_ = 0;
  Type float_type_ = Type::f32;
  const std::byte* file_ = nullptr;
  AlignedArray<std::byte> own_;
};

}  // namespace ggmlkit
