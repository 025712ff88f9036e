// gguf's names of tensors that every layer has: "blk.N", and the tensor's own.
#pragma once

#include <charconv>
#include <cstddef>
#include <optional>
#include <string_view>

namespace ggmlkit::engine {

struct LayerName {
  std::size_t layer;
  std::string_view own;  // what follows the number, such as ".attn_q.weight"
};

// Nothing for the name of another tensor, or a layer beyond the last.
inline std::optional<LayerName> layer_name(std::string_view name, std::size_t layers) {
  constexpr std::string_view prefix = "blk.";
  if (name.substr(0, prefix.size()) != prefix) return std::nullopt;
  const char* end = name.data() + name.size();
  std::size_t layer = 0;
  const auto [rest, error] = std::from_chars(name.data() + prefix.size(), end, layer);
  if (error != std::errc() || layer >= layers) return std::nullopt;
  return LayerName{layer, std::string_view(rest, static_cast<std::size_t>(end - rest))};
}

}  // namespace ggmlkit::engine
