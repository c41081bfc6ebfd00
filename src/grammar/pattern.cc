#include "grammar/pattern.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "core/utf8.h"
#include "grammar/regex_syntax.h"

namespace lorikeet {
namespace {

constexpr size_t kMaxNfaStates = 20'000;

constexpr RegexNode::Kind kPlain = RegexNode::Kind::kSequence;

// A nondeterministic automaton over bytes. Edges without a byte may depend on a position: the
// text's begin or end.
class Nfa {
 public:
  struct Edge {
    uint8_t low, high;
    int to;
  };
  struct Empty {
    RegexNode::Kind when;  // kPlain, kBegin or kEnd
    int to;
  };
  struct State {
    std::vector<Edge> bytes;
    std::vector<Empty> empty;
  };

  Nfa(const RegexNode& root, std::string_view pattern, const std::string& where)
      : pattern_(pattern), where_(where) {
    const CodePoints any = {{0, 0x10FFFF}};
    const int first = AddState();
    AddSet(any, first, first);
    last_ = AddState();
    Link(Add(root, first), last_);
    AddSet(any, last_, last_);
  }

  const State& state(int s) const { return states_[s]; }
  int last() const { return last_; }
  size_t size() const { return states_.size(); }

 private:
  int AddState() {
    if (states_.size() >= kMaxNfaStates) {
      Fail(ErrorCode::kUnsupported, "{}: the pattern {} needs too large an automaton; simplify it",
           where_, Quoted(pattern_));
    }
    states_.emplace_back();
    return static_cast<int>(states_.size() - 1);
  }
  void Link(int from, int to, RegexNode::Kind when = kPlain) {
    states_[from].empty.push_back({when, to});
  }

  // Adds `node` after `from`; returns its end.
  int Add(const RegexNode& node, int from) {
    const int to = node.kind == RegexNode::Kind::kSequence ? from : AddState();
    switch (node.kind) {
      case RegexNode::Kind::kSet:
        AddSet(node.set, from, to);
        return to;
      case RegexNode::Kind::kSequence:
        for (const RegexNode& part : node.parts) from = Add(part, from);
        return from;
      case RegexNode::Kind::kChoice:
        for (const RegexNode& part : node.parts) {
          const int first = AddState();
          Link(from, first);
          Link(Add(part, first), to);
        }
        return to;
      case RegexNode::Kind::kRepeat:
        AddRepeat(node, from, to);
        return to;
      case RegexNode::Kind::kBegin:
      case RegexNode::Kind::kEnd:
        Link(from, to, node.kind);
        return to;
    }
    return to;
  }

  void AddRepeat(const RegexNode& node, int from, int to) {
    const RegexNode& part = node.parts[0];
    for (size_t i = 0; i < node.min; ++i) from = Add(part, from);
    if (node.max == SIZE_MAX) {
      const int first = AddState();
      Link(from, first);
      Link(Add(part, first), first);
      Link(first, to);
      return;
    }
    for (size_t i = node.min; i < node.max; ++i) {
      Link(from, to);
      const int first = AddState();
      Link(from, first);
      from = Add(part, first);
    }
    Link(from, to);
  }

  // The UTF-8 of the characters of a set, without surrogates.
  void AddSet(const CodePoints& set, int from, int to) {
    constexpr std::pair<uint32_t, uint32_t> kParts[] = {
        {0, 0x7F}, {0x80, 0x7FF}, {0x800, 0xD7FF}, {0xE000, 0xFFFF}, {0x10000, 0x10FFFF}};
    for (const auto& [first, last] : set) {
      for (const auto& [low, high] : kParts) {
        if (std::max(first, low) <= std::min(last, high)) {
          AddRange(std::max(first, low), std::min(last, high), from, to);
        }
      }
    }
  }

  // A range of characters with equally many bytes, split until each of its bytes is a range.
  void AddRange(uint32_t first, uint32_t last, int from, int to) {
    for (int bits = 6; bits <= 18 && first >= 0x80; bits += 6) {
      const uint32_t mask = (uint32_t{1} << bits) - 1;
      if ((first & ~mask) == (last & ~mask)) break;  // they differ in these bits only
      if ((first & mask) != 0) {
        AddRange(first, first | mask, from, to);
        return AddRange((first | mask) + 1, last, from, to);
      }
      if ((last & mask) != mask) {
        AddRange(first, (last & ~mask) - 1, from, to);
        return AddRange(last & ~mask, last, from, to);
      }
    }
    std::string low, high;
    AppendUtf8(first, &low);
    AppendUtf8(last, &high);
    for (size_t i = 0; i < low.size(); ++i) {
      const int next = i + 1 == low.size() ? to : AddState();
      states_[from].bytes.push_back(
          {static_cast<uint8_t>(low[i]), static_cast<uint8_t>(high[i]), next});
      from = next;
    }
  }

  std::string_view pattern_;
  const std::string& where_;
  std::vector<State> states_;
  int last_ = 0;
};

using StateSet = std::vector<int>;  // sorted

// Makes a deterministic automaton: its states are sets of states of the Nfa.
class Determiniser {
 public:
  Determiniser(const Nfa& nfa, const std::string& where, PatternBudget* budget)
      : nfa_(nfa), where_(where), budget_(budget), seen_(nfa.size(), 0) {}

  // The first state is not looked up: a text of some characters that has the same set is not at its
  // begin, which matters to a ^ behind a $.
  ByteDfa Run() {
    AddState(Closure({0}, true, false), true);
    for (size_t s = 0; s < sets_.size(); ++s) Expand(static_cast<int32_t>(s));
    return std::move(dfa_);
  }

 private:
  // States reached without a byte, at the text's begin and end or elsewhere.
  StateSet Closure(const StateSet& set, bool at_begin, bool at_end) {
    ++stamp_;
    StateSet out;
    const auto add = [&](int state) {
      if (seen_[state] == stamp_) return;
      seen_[state] = stamp_;
      out.push_back(state);
    };
    for (const int state : set) add(state);
    for (size_t i = 0; i < out.size(); ++i) {
      for (const Nfa::Empty& edge : nfa_.state(out[i]).empty) {
        if (edge.when == RegexNode::Kind::kBegin && !at_begin) continue;
        if (edge.when == RegexNode::Kind::kEnd && !at_end) continue;
        add(edge.to);
      }
    }
    budget_->Take(out.size(), where_);
    std::sort(out.begin(), out.end());
    return out;
  }

  int32_t StateOf(StateSet set) {
    const auto found = states_.find(set);
    if (found != states_.end()) return found->second;
    const int32_t state = AddState(set, false);
    states_.emplace(std::move(set), state);
    return state;
  }

  int32_t AddState(StateSet set, bool at_begin) {
    const StateSet at_end = Closure(set, at_begin, true);
    sets_.push_back(std::move(set));
    return dfa_.AddState(std::binary_search(at_end.begin(), at_end.end(), nfa_.last()));
  }

  void Expand(int32_t state) {
    const StateSet set = sets_[state];
    std::vector<Nfa::Edge> edges;
    std::vector<bool> begins(257, false);  // whether the set of reached states changes at a byte
    for (const int s : set) {
      for (const Nfa::Edge& edge : nfa_.state(s).bytes) {
        edges.push_back(edge);
        begins[edge.low] = begins[edge.high + 1] = true;
      }
    }
    int32_t to = -1;
    for (int byte = 0; byte < 256; ++byte) {
      if (begins[byte]) to = After(edges, byte);
      if (to >= 0) dfa_.SetNext(state, byte, to);
    }
  }

  int32_t After(const std::vector<Nfa::Edge>& edges, int byte) {
    StateSet reached;
    budget_->Take(edges.size(), where_);
    for (const Nfa::Edge& edge : edges) {
      if (edge.low <= byte && byte <= edge.high) reached.push_back(edge.to);
    }
    if (reached.empty()) return -1;
    return StateOf(Closure(reached, false, false));
  }

  const Nfa& nfa_;
  const std::string& where_;
  PatternBudget* budget_;
  ByteDfa dfa_;
  std::map<StateSet, int32_t> states_;
  std::vector<StateSet> sets_;  // by state
  std::vector<uint32_t> seen_;  // by state of the Nfa: stamp of the last closure that has it
  uint32_t stamp_ = 0;
};

constexpr const char* kDate =
    R"((?:\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30))"
    R"(|02-(?:0[1-9]|1\d|2[0-8])))"
    R"(|(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29))";
constexpr const char* kTime =
    R"((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d))";
constexpr const char* kOctet = R"((?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d))";

}  // namespace

void PatternBudget::Take(size_t work, const std::string& where) {
  if (work > left) {
    Fail(ErrorCode::kUnsupported,
         "{}: too large an automaton, together with the other patterns of the schema; simplify it",
         where);
  }
  left -= work;
}

ByteDfa PatternTexts(std::string_view pattern, const std::string& where, PatternBudget* budget) {
  const Nfa nfa(ParseRegex(pattern, where), pattern, where);
  budget->Take(nfa.size(), where);
  return Determiniser(nfa, where, budget).Run();
}

ByteDfa PatternTexts(std::string_view pattern, const std::string& where) {
  PatternBudget budget;
  return PatternTexts(pattern, where, &budget);
}

std::optional<std::string> FormatPattern(std::string_view format) {
  if (format == "date") return fmt::format("^{}$", kDate);
  if (format == "time") return fmt::format("^{}$", kTime);
  if (format == "date-time") return fmt::format("^{}T{}$", kDate, kTime);
  if (format == "uuid") {
    return "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$";
  }
  if (format == "ipv4") return fmt::format("^{0}\\.{0}\\.{0}\\.{0}$", kOctet);
  return std::nullopt;
}

}  // namespace lorikeet
