#include "engine/kv_cache.h"

#include <limits>

#include "kernels/layouts/kv_group.h"

namespace ggmlkit::engine {
namespace {

// A quarter of the address space stands for "no machine has that": what follows can't overflow.
constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max() / 4;

std::size_t product(std::size_t a, std::size_t b) {
  if (b != 0 && a > kMost / b) throw std::bad_alloc();
  return a * b;
}

}  // namespace

KvCache::KvCache(const Config& c, std::size_t context, std::size_t sequences, KvType type)
    : context_(context),
      sequences_(sequences),
      kv_heads_(c.kv_heads),
      type_(type),
      groups_(context / kKvGroup + (context % kKvGroup != 0)),
      group_bytes_(kv_group_bytes(type, c.head_dim)) {
  const std::size_t heads = product(product(c.layers, sequences), c.kv_heads);
  const std::size_t bytes = product(product(heads, group_bytes_), groups_);
  keys_.resize(bytes);
  values_.resize(bytes);
}

}  // namespace ggmlkit::engine
