// A `TokenTrie` holds the bytes of all tokens of a vocabulary as a tree, in the order in which a
// walk visits its nodes.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lorikeet {

class TokenTrie {
 public:
  struct Node {
    uint32_t end;     // the first node that is not below this one
    uint32_t tokens;  // index into the tokens; those of a node end where the next node's begin
    uint16_t depth;   // number of bytes from the root
    uint8_t byte;     // the last of them
  };

  // tokens: by id, the bytes that a token adds to a text; "" for one that is never written. Tokens
  // may have equal bytes. Throws Error(kUnsupported) for a token of 64 KiB or more.
  explicit TokenTrie(std::span<const std::string> tokens);

  // Node 0 is the root; the nodes below one follow it.
  size_t size() const { return nodes_.size() - 1; }
  const Node& node(size_t i) const { return nodes_[i]; }
  std::span<const int32_t> TokensOf(size_t i) const {
    return std::span(tokens_).subspan(nodes_[i].tokens, nodes_[i + 1].tokens - nodes_[i].tokens);
  }
  size_t max_depth() const { return max_depth_; }

 private:
  std::vector<Node> nodes_;  // and one more at the end
  std::vector<int32_t> tokens_;
  size_t max_depth_ = 0;
};

}  // namespace lorikeet
