// Full pages of keys and values by the tokens they were computed from: a sequence that begins as an
// earlier one did takes its pages instead of computing them again.
//
// A node is a page; its path from the root is the text up to its end. Each adapter has a root of
// its own. Pages that no sequence has are given back when others need room, the least recently used
// first.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "engine/kv_pool.h"

namespace ggmlkit::engine {

class PrefixTree {
 public:
  struct Node;

  explicit PrefixTree(KvPool& pool) : pool_(pool) {}

  // Gives an empty table the known pages that `tokens` begin with, but at most (n - 1) / kPage, so
  // that a token is left to compute. Returns the last page's node, in use, or the root.
  Node* find(std::uint64_t adapter, const std::vector<std::int32_t>& tokens, PageTable& table);

  // Follows a sequence that holds `tokens` from its node on: its full pages become known, and those
  // that are known already take the place of its own. Returns the node of the last, in use instead
  // of the one given.
  Node* follow(Node* node, const std::vector<std::int32_t>& tokens, PageTable& table);
  // The node of the first `length` tokens' full pages, in use instead of the one given.
  Node* back(Node* node, std::size_t length);
  // Another sequence with the same node.
  void use(Node* node);
  // A sequence is gone.
  void leave(Node* node) { back(node, 0); }

  // Gives back the page used longest ago that no sequence has. False where there is none.
  bool evict();
  // Pages that `evict` can give back.
  std::size_t evictable() const { return unused_; }

 private:
  using Tokens = std::array<std::int32_t, kPage>;
  void enter(Node* node);
  void leave_one(Node* node);
  bool is_idle(const Node& node) const;

  KvPool& pool_;
  std::map<std::uint64_t, std::unique_ptr<Node>> roots_;
  std::set<std::pair<std::uint64_t, Node*>> idle_;  // by when they were used
  std::uint64_t now_ = 0;
  std::size_t unused_ = 0;  // nodes without users
};

struct PrefixTree::Node {
  Node* parent = nullptr;  // null: a root, which has no page
  Tokens tokens{};
  Pages pages{};
  std::size_t depth = 0;   // pages up to and with this one
  std::size_t users = 0;   // sequences whose text has this page
  std::uint64_t used = 0;  // when
  std::map<Tokens, std::unique_ptr<Node>> children;
};

}  // namespace ggmlkit::engine
