// `GrammarRules` are the rules of a grammar while it is built: a graph of nodes with edges that
// read a byte, edges that read nothing, and calls of other rules.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lorikeet {

using GrammarNode = uint32_t;
inline constexpr GrammarNode kNoNode = ~GrammarNode{0};

class GrammarRules {
 public:
  // Most nodes of a grammar: a bound on its memory and on the time that building it takes.
  static constexpr size_t kMaxNodes = 100'000;

  struct ByteEdge {
    uint8_t low, high;
    GrammarNode to;
  };
  struct CallEdge {
    GrammarNode rule, to;
  };
  struct Node {
    std::vector<ByteEdge> bytes;  // ranges that do not overlap
    std::vector<GrammarNode> skips;
    std::vector<CallEdge> calls;
    bool accepts = false;  // a rule ends here
  };

  // Throws Error(kUnsupported) when the grammar becomes larger than kMaxNodes.
  GrammarNode AddNode();
  // A rule is named by its first node. A rule that others call must not match the empty text.
  GrammarNode AddRule() { return AddNode(); }

  void Accept(GrammarNode node) { nodes_[node].accepts = true; }
  // `from` may have several edges for a byte.
  void Bytes(GrammarNode from, uint8_t low, uint8_t high, GrammarNode to);
  void Byte(GrammarNode from, char byte, GrammarNode to) {
    Bytes(from, static_cast<uint8_t>(byte), static_cast<uint8_t>(byte), to);
  }
  void Skip(GrammarNode from, GrammarNode to) { nodes_[from].skips.push_back(to); }
  void Call(GrammarNode from, GrammarNode rule, GrammarNode to) {
    nodes_[from].calls.push_back({rule, to});
  }
  // A path of its own for `bytes`; returns its end.
  GrammarNode Literal(GrammarNode from, std::string_view bytes);
  // Paths for all texts, which share their beginnings.
  void Literals(GrammarNode from, std::vector<std::string> texts, GrammarNode to);

  const std::vector<Node>& nodes() const { return nodes_; }

 private:
  std::vector<Node> nodes_;
};

}  // namespace lorikeet
