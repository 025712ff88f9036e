// What the decoder must know of a model: sizes and switches, as plain data.
#pragma once

#include <cstddef>
#include <vector>

namespace ggmlkit::llama {

enum class RopeScaling { none, linear, yarn };

struct RopeConfig {
  std::size_t dims = 0;  // rotated elements of a head, the first ones; even
  float base = 10000.0f;
  RopeScaling scaling = RopeScaling::none;
  float factor = 1.0f;  // how much longer than the trained context
  float original_context = 0.0f;
  float attention_factor = 1.0f;  // multiplies cosine and sine
  float beta_fast = 32.0f;      // yarn: turns in the trained context above which a frequency stays
  float beta_slow = 1.0f;       // yarn: turns below which it is stretched in full
  std::vector<float> divisors;  // empty, or [dims / 2]: each frequency is divided by its own
};

struct Config {
  std::size_t layers = 0;
  std::size_t dim = 0;
  std::size_t heads = 0;
  std::size_t kv_heads = 0;
  std::size_t head_dim = 0;
  std::size_t ffn = 0;
  std::size_t vocab = 0;
  float norm_eps = 1e-6f;
  RopeConfig rope;

  std::size_t q_size() const { return heads * head_dim; }
  std::size_t kv_size() const { return kv_heads * head_dim; }
  std::size_t group() const { return heads / kv_heads; }  // query heads that share a kv head
};

// Throws std::invalid_argument where the sizes contradict each other.
void check(const Config& config);

}  // namespace ggmlkit::llama
