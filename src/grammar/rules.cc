#include "grammar/rules.h"

#include <algorithm>

#include "core/error.h"

namespace lorikeet {

GrammarNode GrammarRules::AddNode() {
  if (nodes_.size() >= kMaxNodes) {
    Fail(ErrorCode::kUnsupported,
         "grammar: more than {} states; use a smaller schema (fewer or shorter values, smaller "
         "maxLength, minLength, maxItems and minItems)",
         kMaxNodes);
  }
  nodes_.emplace_back();
  return static_cast<GrammarNode>(nodes_.size() - 1);
}

void GrammarRules::Bytes(GrammarNode from, uint8_t low, uint8_t high, GrammarNode to) {
  const bool overlaps =
      std::any_of(nodes_[from].bytes.begin(), nodes_[from].bytes.end(),
                  [&](const ByteEdge& edge) { return edge.low <= high && low <= edge.high; });
  if (overlaps) {
    const GrammarNode other = AddNode();
    Skip(from, other);
    from = other;
  }
  nodes_[from].bytes.push_back({low, high, to});
}

GrammarNode GrammarRules::Literal(GrammarNode from, std::string_view bytes) {
  for (const char byte : bytes) {
    const GrammarNode to = AddNode();
    Byte(from, byte, to);
    from = to;
  }
  return from;
}

void GrammarRules::Literals(GrammarNode from, std::vector<std::string> texts, GrammarNode to) {
  std::sort(texts.begin(), texts.end());
  std::vector<GrammarNode> path = {AddNode()};
  Skip(from, path[0]);
  const std::string* before = nullptr;
  for (const std::string& text : texts) {
    size_t shared = 0;
    if (before != nullptr) {
      const size_t most = std::min(before->size(), text.size());
      while (shared < most && (*before)[shared] == text[shared]) ++shared;
      if (shared == text.size() && text.size() == before->size()) continue;
    }
    path.resize(shared + 1);
    for (size_t i = shared; i < text.size(); ++i) {
      path.push_back(AddNode());
      Byte(path[i], text[i], path[i + 1]);
    }
    Skip(path.back(), to);
    before = &text;
  }
}

}  // namespace lorikeet
