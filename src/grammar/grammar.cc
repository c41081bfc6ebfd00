#include "grammar/grammar.h"

#include <atomic>
#include <utility>

#include "core/error.h"
#include "grammar/json_rules.h"
#include "grammar/schema_rules.h"

namespace lorikeet {
namespace {

constexpr int kMaxPartDepth = 100;

// Builds the rules of parts; nodes of a part lie in the rule of the part around it.
class PartBuilder {
 public:
  PartBuilder(GrammarRules* rules, const JsonRules& json) : rules_(rules), json_(json) {}

  // Adds `part` after `from`; returns its end.
  GrammarNode Add(const GrammarPart& part, GrammarNode from, int depth = 0) {
    if (depth > kMaxPartDepth) {
      Fail(ErrorCode::kUnsupported, "grammar: parts nested deeper than {} levels", kMaxPartDepth);
    }
    switch (part.kind) {
      case GrammarPart::Kind::kLiteral:
        return rules_->Literal(from, part.literal);
      case GrammarPart::Kind::kAnyJson:
        return Call(from, json_.value);
      case GrammarPart::Kind::kJsonObject:
        return Call(from, json_.object);
      case GrammarPart::Kind::kSchema:
        return Call(from, AddSchemaRule(part.schema, json_, rules_));
      case GrammarPart::Kind::kSequence:
        for (const GrammarPart& member : part.parts) from = Add(member, from, depth + 1);
        return from;
      case GrammarPart::Kind::kChoice:
        return AddChoice(part, from, depth);
      case GrammarPart::Kind::kRepeat:
        return AddRepeat(part, from, depth);
    }
    return from;
  }

 private:
  GrammarNode Call(GrammarNode from, GrammarNode rule) {
    const GrammarNode to = rules_->AddNode();
    rules_->Call(from, rule, to);
    return to;
  }

  // Members begin at nodes of their own, since a repeated one has an edge back to its first.
  GrammarNode AddChoice(const GrammarPart& part, GrammarNode from, int depth) {
    const GrammarNode to = rules_->AddNode();
    for (const GrammarPart& member : part.parts) {
      const GrammarNode first = rules_->AddNode();
      rules_->Skip(from, first);
      rules_->Skip(Add(member, first, depth + 1), to);
    }
    return to;
  }

  GrammarNode AddRepeat(const GrammarPart& part, GrammarNode from, int depth) {
    const GrammarPart& member = part.parts.at(0);
    for (size_t i = 0; i < part.min; ++i) from = Add(member, from, depth + 1);
    const GrammarNode to = rules_->AddNode();
    if (part.max == kNoMaximum) {
      const GrammarNode first = rules_->AddNode();
      rules_->Skip(from, first);
      rules_->Skip(Add(member, first, depth + 1), first);
      rules_->Skip(first, to);
      return to;
    }
    for (size_t i = part.min; i < part.max; ++i) {
      rules_->Skip(from, to);
      const GrammarNode first = rules_->AddNode();
      rules_->Skip(from, first);
      from = Add(member, first, depth + 1);
    }
    rules_->Skip(from, to);
    return to;
  }

  GrammarRules* rules_;
  const JsonRules& json_;
};

// Finds the nodes from which a rule can end after finitely many bytes.
class ProductiveNodes {
 public:
  explicit ProductiveNodes(const std::vector<GrammarRules::Node>& nodes)
      : users_(nodes.size()), productive_(nodes.size(), false) {
    for (GrammarNode n = 0; n < nodes.size(); ++n) {
      for (const auto& edge : nodes[n].bytes) users_[edge.to].push_back({n, edge.to});
      for (const GrammarNode to : nodes[n].skips) users_[to].push_back({n, to});
      for (const auto& call : nodes[n].calls) {
        users_[call.rule].push_back({n, call.to});
        users_[call.to].push_back({n, call.rule});
      }
    }
    for (GrammarNode n = 0; n < nodes.size(); ++n) {
      if (nodes[n].accepts) Mark(n);
    }
    while (!open_.empty()) {
      const GrammarNode n = open_.back();
      open_.pop_back();
      for (const User& user : users_[n]) {
        if (productive_[user.other]) Mark(user.node);
      }
    }
  }
  std::vector<bool> Take() { return std::move(productive_); }

 private:
  struct User {
    GrammarNode node, other;  // `node` is productive if this one and `other` are
  };
  void Mark(GrammarNode n) {
    if (productive_[n]) return;
    productive_[n] = true;
    open_.push_back(n);
  }

  std::vector<std::vector<User>> users_;
  std::vector<bool> productive_;
  std::vector<GrammarNode> open_;
};

uint64_t NextId() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

}  // namespace

GrammarPart Literal(std::string bytes) {
  return {.kind = GrammarPart::Kind::kLiteral, .literal = std::move(bytes)};
}
GrammarPart AnyJson() { return {.kind = GrammarPart::Kind::kAnyJson}; }
GrammarPart JsonObject() { return {.kind = GrammarPart::Kind::kJsonObject}; }
GrammarPart JsonSchema(OrderedJson schema) {
  return {.kind = GrammarPart::Kind::kSchema, .schema = std::move(schema)};
}
GrammarPart Sequence(std::vector<GrammarPart> parts) {
  return {.kind = GrammarPart::Kind::kSequence, .parts = std::move(parts)};
}
GrammarPart Choice(std::vector<GrammarPart> parts) {
  return {.kind = GrammarPart::Kind::kChoice, .parts = std::move(parts)};
}
GrammarPart Repeat(GrammarPart part, size_t min, size_t max) {
  GrammarPart repeat{.kind = GrammarPart::Kind::kRepeat, .min = min, .max = max};
  repeat.parts.push_back(std::move(part));
  return repeat;
}

std::shared_ptr<const Grammar> Grammar::Compile(const GrammarPart& part) {
  GrammarRules rules;
  const JsonRules json = AddJsonRules(&rules);
  const auto shared_nodes = static_cast<GrammarNode>(rules.nodes().size());
  const GrammarNode start = rules.AddRule();
  rules.Accept(PartBuilder(&rules, json).Add(part, start));
  return std::shared_ptr<const Grammar>(new Grammar(rules, start, shared_nodes));
}

Grammar::Grammar(const GrammarRules& rules, GrammarNode start, GrammarNode shared_nodes)
    : start_(start), shared_nodes_(shared_nodes), id_(NextId()) {
  const std::vector<GrammarRules::Node>& nodes = rules.nodes();
  const std::vector<bool> productive = ProductiveNodes(nodes).Take();
  if (!productive[start]) {
    Fail(ErrorCode::kInvalidArgument,
         "grammar: no text satisfies it; look for contradictions in the schema (minimum above "
         "maximum, a required property that is `false`, endless recursion)");
  }
  FillClasses(rules);
  next_.reserve(nodes.size() * classes_);
  offsets_.reserve(nodes.size() + 1);
  for (const GrammarRules::Node& node : nodes) FillNode(node, productive);
  offsets_.push_back({static_cast<uint32_t>(skips_.size()), static_cast<uint32_t>(calls_.size())});
}

void Grammar::FillClasses(const GrammarRules& rules) {
  std::array<bool, 257> begins{};  // whether a class begins at a byte
  begins[0] = true;
  for (const GrammarRules::Node& node : rules.nodes()) {
    for (const auto& edge : node.bytes) begins[edge.low] = begins[edge.high + 1] = true;
  }
  size_t count = 0;
  for (size_t byte = 0; byte < 256; ++byte) {
    if (begins[byte]) ++count;
    class_of_[byte] = static_cast<uint8_t>(count - 1);
  }
  classes_ = count;
}

void Grammar::FillNode(const GrammarRules::Node& node, const std::vector<bool>& productive) {
  offsets_.push_back({static_cast<uint32_t>(skips_.size()), static_cast<uint32_t>(calls_.size())});
  uint8_t flags = node.accepts ? kAccepts : 0;
  const size_t row = next_.size();
  next_.resize(row + classes_, kNoNode);
  for (const auto& edge : node.bytes) {
    if (!productive[edge.to]) continue;
    flags |= kReads;
    for (size_t c = class_of_[edge.low]; c <= class_of_[edge.high]; ++c) next_[row + c] = edge.to;
  }
  for (const GrammarNode to : node.skips) {
    if (!productive[to]) continue;
    flags |= kMoves;
    skips_.push_back(to);
  }
  for (const auto& call : node.calls) {
    if (!productive[call.rule] || !productive[call.to]) continue;
    flags |= kMoves;
    calls_.push_back({call.rule, call.to});
  }
  flags_.push_back(flags);
}

}  // namespace lorikeet
