// What one forward pass computes: chunks of tokens of several sequences.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/thread_pool.h"
#include "engine/adapter.h"
#include "engine/kv_pool.h"

namespace ggmlkit::engine {

// Tokens of one sequence that follow each other.
struct Chunk {
  const PageTable* pages;  // with room for the tokens
  std::size_t start;       // position of the first token
  std::size_t tokens;
  std::size_t row;   // of the first token, among the queries, keys and values of the pass
  std::size_t kept;  // of the first token, among the rows that go on; the same, but where the last
                     // layer goes on with a part of them
};

// Rows that one adapter changes.
struct AdapterRows {
  const Adapter* adapter;
  Range rows;
};

struct Pass {
  const std::int32_t* tokens = nullptr;
  std::vector<Chunk> chunks;
  std::vector<AdapterRows> adapters;
  std::size_t n = 0;  // tokens

  void clear() {
    chunks.clear();
    adapters.clear();
    n = 0;
  }
  // The next tokens; `adapter` may be null.
  void append(const Chunk& chunk, const Adapter* adapter) {
    chunks.push_back(chunk);
    const Range rows{chunk.kept, chunk.kept + chunk.tokens};
    n = rows.end;
    if (adapter == nullptr) return;
    const bool follows = !adapters.empty() && adapters.back().adapter == adapter &&
                         adapters.back().rows.end == rows.begin;
    if (follows) {
      adapters.back().rows.end = rows.end;
    } else {
      adapters.push_back({adapter, rows});
    }
  }
};

}  // namespace ggmlkit::engine
