#include "grammar/token_trie.h"

#include <algorithm>

#include "core/error.h"

namespace lorikeet {

TokenTrie::TokenTrie(std::span<const std::string> tokens) {
  std::vector<int32_t> order;
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (!tokens[id].empty()) order.push_back(static_cast<int32_t>(id));
    max_depth_ = std::max(max_depth_, tokens[id].size());
  }
  if (max_depth_ > UINT16_MAX) {
    Fail(ErrorCode::kUnsupported, "tokenizer: a token of {} bytes (limit {})", max_depth_,
         UINT16_MAX);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return tokens[a] < tokens[b]; });
  nodes_.push_back({0, 0, 0, 0});
  std::vector<uint32_t> path = {0};  // nodes from the root to the last one
  const auto close = [&](size_t depth) {
    for (; path.size() > depth + 1; path.pop_back()) {
      nodes_[path.back()].end = static_cast<uint32_t>(nodes_.size());
    }
  };
  const std::string* before = nullptr;
  for (const int32_t id : order) {
    const std::string& token = tokens[id];
    size_t shared = 0;
    while (before && shared < std::min(before->size(), token.size()) &&
           (*before)[shared] == token[shared]) {
      ++shared;
    }
    close(shared);
    for (size_t i = shared; i < token.size(); ++i) {
      path.push_back(static_cast<uint32_t>(nodes_.size()));
      nodes_.push_back({0, static_cast<uint32_t>(tokens_.size()), static_cast<uint16_t>(i + 1),
                        static_cast<uint8_t>(token[i])});
    }
    tokens_.push_back(id);
    before = &token;
  }
  close(0);
  nodes_[0].end = static_cast<uint32_t>(nodes_.size());
  nodes_.push_back({nodes_[0].end, static_cast<uint32_t>(tokens_.size()), 0, 0});
}

}  // namespace lorikeet
