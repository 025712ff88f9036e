#include "engine/prefix_tree.h"

#include <algorithm>

namespace ggmlkit::engine {

bool PrefixTree::is_idle(const Node& node) const {
  return node.parent != nullptr && node.users == 0 && node.children.empty();
}

void PrefixTree::enter(Node* node) {
  if (node->users++ == 0) {
    --unused_;
    idle_.erase({node->used, node});
  }
}

void PrefixTree::leave_one(Node* node) {
  node->used = ++now_;
  if (--node->users == 0) {
    ++unused_;
    if (is_idle(*node)) idle_.insert({node->used, node});
  }
}

PrefixTree::Node* PrefixTree::find(std::uint64_t adapter, const std::vector<std::int32_t>& tokens,
                                   PageTable& table) {
  std::unique_ptr<Node>& root = roots_[adapter];
  if (!root) root = std::make_unique<Node>();
  Node* node = root.get();
  std::vector<Pages> known;
  const std::size_t most = tokens.empty() ? 0 : (tokens.size() - 1) / kPage;
  for (Tokens page; known.size() < most; known.push_back(node->pages)) {
    std::copy_n(tokens.begin() + static_cast<std::ptrdiff_t>(known.size() * kPage), kPage,
                page.begin());
    const auto found = node->children.find(page);
    if (found == node->children.end()) break;
    node = found->second.get();
    enter(node);
  }
  pool_.adopt(table, known);
  return node;
}

PrefixTree::Node* PrefixTree::follow(Node* node, const std::vector<std::int32_t>& tokens,
                                     PageTable& table) {
  while ((node->depth + 1) * kPage <= tokens.size()) {
    Tokens page;
    std::copy_n(tokens.begin() + static_cast<std::ptrdiff_t>(node->depth * kPage), kPage,
                page.begin());
    std::unique_ptr<Node>& next = node->children[page];
    if (!next) {
      next = std::make_unique<Node>();
      next->parent = node;
      next->tokens = page;
      next->depth = node->depth + 1;
      next->pages = pool_.share(table, node->depth);
      idle_.erase({node->used, node});
      ++unused_;  // until it is entered
    } else {
      pool_.replace(table, node->depth, next->pages);
    }
    node = next.get();
    enter(node);
  }
  return node;
}

PrefixTree::Node* PrefixTree::back(Node* node, std::size_t length) {
  while (node->parent != nullptr && node->depth * kPage > length) {
    Node* parent = node->parent;
    leave_one(node);
    node = parent;
  }
  return node;
}

void PrefixTree::use(Node* node) {
  for (; node->parent != nullptr; node = node->parent) enter(node);
}

bool PrefixTree::evict() {
  if (idle_.empty()) return false;
  Node* node = idle_.begin()->second;
  idle_.erase(idle_.begin());
  --unused_;
  pool_.give_back(node->pages);
  Node* parent = node->parent;
  parent->children.erase(Tokens(node->tokens));
  if (is_idle(*parent)) idle_.insert({parent->used, parent});
  return true;
}

}  // namespace ggmlkit::engine
