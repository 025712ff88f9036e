// One function per binding file, and the checks that they share. Bindings are thin: they check
// every shape and size, then call csrc.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/types.h"
#include "kernels/kernel_table.h"

namespace ggmlkit {

void bind_types(pybind11::module_& m);
void bind_quant(pybind11::module_& m);
void bind_files(pybind11::module_& m);
void bind_matmul(pybind11::module_& m);
void bind_attention(pybind11::module_& m);
void bind_model_config(pybind11::module_& m);
void bind_model_weights(pybind11::module_& m);
void bind_engine(pybind11::module_& m);
void bind_sampler(pybind11::module_& m);
void bind_stored_strings(pybind11::module_& m);
void bind_tokenization(pybind11::module_& m);
void bind_pieces(pybind11::module_& m);

using ByteArray = pybind11::array_t<std::uint8_t, pybind11::array::c_style>;
using FloatArray = pybind11::array_t<float, pybind11::array::c_style>;

inline Type type_at(std::size_t index) {
  if (index >= kTypeCount) throw pybind11::value_error("no such tensor type");
  return static_cast<Type>(index);
}

// The type of the KV cache by name; throws ValueError for any other name.
KvType kv_type_named(const std::string& name);

inline const std::byte* bytes_of(const ByteArray& a) {
  return reinterpret_cast<const std::byte*>(a.data());
}

// Throws ValueError unless `data` holds exactly rows × cols elements of the type.
inline void check_size(Type type, std::size_t rows, std::size_t cols, const ByteArray& data) {
  const TypeInfo& t = info(type);
  const std::size_t blocks = cols / t.block_size;
  std::size_t row = 0;
  std::size_t all = 0;
  if (cols % t.block_size != 0 || __builtin_mul_overflow(blocks, t.block_bytes, &row) ||
      __builtin_mul_overflow(row, rows, &all) || all != static_cast<std::size_t>(data.size())) {
    throw pybind11::value_error("data does not hold rows × cols elements of its type");
  }
}

}  // namespace ggmlkit
