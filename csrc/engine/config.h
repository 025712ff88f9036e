// What the decoder must know of a model: sizes and switches, as plain data.
#pragma once

#include <cmath>
#include <cstddef>
#include <optional>
#include <vector>

namespace ggmlkit::engine {

enum class RopeScaling { none, linear, yarn };
// Which elements of a head are rotated together: (2i, 2i + 1), or (i, i + dims / 2).
enum class RopePairs { neighbours, halves };

struct RopeConfig {
  std::size_t dims = 0;  // rotated elements of a head, the first ones; even
  RopePairs pairs = RopePairs::neighbours;
  float base = 10000.0f;
  RopeScaling scaling = RopeScaling::none;
  float factor = 1.0f;  // how much longer than the trained context
  float original_context = 0.0f;
  float attention_factor = 1.0f;  // multiplies cosine and sine
  float beta_fast = 32.0f;  // yarn: turns in the trained context above which a frequency stays
  float beta_slow = 1.0f;   // yarn: turns below which it is stretched in full
  std::vector<float> freq_factors;  // empty, or [dims / 2]: each frequency is divided by its own
  std::vector<float> long_freq_factors;  // empty, or those of contexts above original_context
};

enum class Gate { silu, gelu };  // gelu: by its approximation with a hyperbolic tangent

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
  std::optional<RopeConfig> sliding_rope;  // of layers with a window; empty: as the others
  // Switches of architectures; the values here are LLaMA's.
  Gate gate = Gate::silu;
  float embedding_scale = 1.0f;
  float query_scale = 0.0f;     // multiplies queries; 0: 1 / √head_dim
  float attn_softcap = 0.0f;    // scores become cap · tanh(score / cap); 0: they stay
  float final_softcap = 0.0f;   // the same of logits
  bool has_head_norms = false;  // queries and keys are normed, a head at a time, and then rotated
  bool has_post_norms = false;  // outputs of attention and feed-forward are normed
  std::vector<std::size_t> windows;  // empty, or [layers]: a token sees so many, itself included;
                                     // 0: all
  // Without an output matrix results are hidden states, normed only where there is an output norm:
  // such a model is some layers of another.
  bool has_output = true;

  std::size_t q_size() const { return heads * head_dim; }
  std::size_t kv_size() const { return kv_heads * head_dim; }
  std::size_t group() const { return heads / kv_heads; }  // query heads that share a kv head
  std::size_t window(std::size_t layer) const { return windows.empty() ? 0 : windows[layer]; }
  float score_scale() const {
    return query_scale > 0 ? query_scale : 1.0f / std::sqrt(static_cast<float>(head_dim));
  }
};

// Throws std::invalid_argument where the sizes contradict each other.
void check(const Config& config);

}  // namespace ggmlkit::engine
