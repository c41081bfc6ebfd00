// A `Grammar` describes the texts that a model may write, byte by byte: literal text, JSON, and
// JSON that satisfies a schema, in sequence, as alternatives or repeated.
//
// docs/structured_output.md describes the part of JSON Schema that is supported and the white space
// that is allowed. Matching is done by a `GrammarMatcher` (grammar/matcher.h).
#pragma once
#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/json.h"
#include "grammar/rules.h"

namespace lorikeet {

// A description of a text; Grammar::Compile makes a grammar of it. Made by the functions below.
struct GrammarPart {
  enum class Kind : uint8_t {
    kLiteral,
    kAnyJson,
    kJsonObject,
    kSchema,
    kSequence,
    kChoice,
    kRepeat
  };

  Kind kind = Kind::kLiteral;
  std::string literal{};             // bytes of kLiteral
  OrderedJson schema{};              // schema of kSchema
  std::vector<GrammarPart> parts{};  // members of kSequence and kChoice, the one part of kRepeat
  size_t min = 0, max = 0;           // number of repetitions in kRepeat
};

inline constexpr size_t kNoMaximum = std::numeric_limits<size_t>::max();

GrammarPart Literal(std::string bytes);
GrammarPart AnyJson();     // any JSON value
GrammarPart JsonObject();  // any JSON object
// A JSON value that satisfies `schema`, with properties in the schema's order.
GrammarPart JsonSchema(OrderedJson schema);
GrammarPart Sequence(std::vector<GrammarPart> parts);
GrammarPart Choice(std::vector<GrammarPart> parts);  // one of the parts
// `part`, min to max times in a row (max: kNoMaximum for no limit).
GrammarPart Repeat(GrammarPart part, size_t min, size_t max);

// Immutable after Compile, so thread-safe.
class Grammar {
 public:
  // Throws Error(kUnsupported) naming what is not supported and where in the schema ("schema:
  // /properties/x/not: `not` is not supported"), or that the grammar is too large;
  // Error(kInvalidArgument) for a schema that is not well-formed or that no document satisfies.
  static std::shared_ptr<const Grammar> Compile(const GrammarPart& part);

  // The rest is for GrammarMatcher and TokenMask.

  struct Call {
    GrammarNode rule, to;
  };
  GrammarNode start() const { return start_; }
  size_t size() const { return offsets_.size() - 1; }  // number of nodes
  // The node that `byte` leads to from `node`; kNoNode for none.
  GrammarNode Next(GrammarNode node, uint8_t byte) const {
    return next_[node * classes_ + class_of_[byte]];
  }
  std::span<const GrammarNode> Skips(GrammarNode node) const {
    return {skips_.data() + offsets_[node].skips, skips_.data() + offsets_[node + 1].skips};
  }
  std::span<const Call> Calls(GrammarNode node) const {
    return {calls_.data() + offsets_[node].calls, calls_.data() + offsets_[node + 1].calls};
  }
  bool Accepts(GrammarNode node) const { return (flags_[node] & kAccepts) != 0; }
  // Whether a text can continue from `node` other than by a byte that it reads itself.
  bool Leaves(GrammarNode node) const { return (flags_[node] & (kAccepts | kMoves)) != 0; }
  bool ReadsBytes(GrammarNode node) const { return (flags_[node] & kReads) != 0; }
  // Nodes below this number are the same in every grammar (the rules of JSON).
  GrammarNode shared_nodes() const { return shared_nodes_; }
  uint64_t id() const { return id_; }  // differs between the grammars of a process

 private:
  static constexpr uint8_t kAccepts = 1, kMoves = 2, kReads = 4;
  struct Offsets {
    uint32_t skips = 0, calls = 0;
  };

  Grammar(const GrammarRules& rules, GrammarNode start, GrammarNode shared_nodes);
  void FillClasses(const GrammarRules& rules);
  void FillNode(const GrammarRules::Node& node, const std::vector<bool>& productive);

  GrammarNode start_ = 0, shared_nodes_ = 0;
  uint64_t id_ = 0;
  size_t classes_ = 0;  // number of classes of bytes that no node distinguishes
  std::array<uint8_t, 256> class_of_{};
  std::vector<GrammarNode> next_;  // (node, class)
  std::vector<Offsets> offsets_;   // by node, and one more
  std::vector<GrammarNode> skips_;
  std::vector<Call> calls_;
  std::vector<uint8_t> flags_;
};

}  // namespace lorikeet
