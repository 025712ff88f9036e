// The matrices of a model, what enters them, and gguf's names of those that every layer has.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "engine/config.h"

namespace ggmlkit::engine {

enum class Matrix : std::size_t { q, k, v, attn_output, gate, up, down, output };
constexpr std::size_t kMatrices = 8;

// Activations that enter matrices. The last enter the output matrix, behind the last layer.
enum class Input : std::size_t { attn_norm, attended, ffn_norm, hidden, output_norm };
constexpr std::size_t kInputs = 5;

struct LayerMatrix {
  std::string_view name;  // after "blk.N"
  Matrix matrix;
  Input input;
  std::size_t rows;
  std::size_t cols;
};

inline std::array<LayerMatrix, 7> layer_matrices(const Config& c) {
  return {{
      {".attn_q.weight", Matrix::q, Input::attn_norm, c.q_size(), c.dim},
      {".attn_k.weight", Matrix::k, Input::attn_norm, c.kv_size(), c.dim},
      {".attn_v.weight", Matrix::v, Input::attn_norm, c.kv_size(), c.dim},
      {".attn_output.weight", Matrix::attn_output, Input::attended, c.dim, c.q_size()},
      {".ffn_gate.weight", Matrix::gate, Input::ffn_norm, c.ffn, c.dim},
      {".ffn_up.weight", Matrix::up, Input::ffn_norm, c.ffn, c.dim},
      {".ffn_down.weight", Matrix::down, Input::hidden, c.dim, c.ffn},
  }};
}

}  // namespace ggmlkit::engine
