#include "grammar/schema_rules.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/text.h"
#include "grammar/byte_dfa.h"
#include "grammar/pattern.h"
#include "grammar/schema_facts.h"
#include "grammar/schema_reader.h"

namespace lorikeet {
namespace {

// Adds a rule for each set of schemas that occurs as a property or an item.
class SchemaRules {
 public:
  SchemaRules(const OrderedJson& schema, const JsonRules& json, GrammarRules* rules)
      : reader_(schema), json_(json), rules_(rules) {}

  GrammarNode Add() {
    const GrammarNode root = RuleOf({reader_.root()});
    while (!open_.empty()) {
      const auto [rule, set] = std::move(open_.back());
      open_.pop_back();
      Fill(rule, set);
    }
    return root;
  }

 private:
  GrammarNode RuleOf(const SchemaSet& set) {
    const auto [found, added] = rules_of_.try_emplace(set, kNoNode);
    if (!added) return found->second;
    const std::vector<SchemaSet> alternatives = reader_.Alternatives(set);
    GrammarNode rule = alternatives.size() == 1 ? JsonRuleOf(alternatives[0]) : kNoNode;
    if (rule == kNoNode) {
      rule = rules_->AddRule();
      open_.emplace_back(rule, set);
    }
    return found->second = rule;
  }

  // The rule of JSON that a set without conditions amounts to, or kNoNode.
  GrammarNode JsonRuleOf(const SchemaSet& set) const {
    const SchemaFacts facts = ReadFacts(set, reader_);
    if (facts.values) return kNoNode;
    const bool plain_numbers = !facts.numbers.bounded() && !facts.numbers.integers;
    const bool constrained = facts.strings.constrained() || facts.arrays.constrained ||
                             facts.objects.constrained || !plain_numbers;
    switch (facts.written) {
      case kAllTypes:
        return constrained ? kNoNode : json_.value;
      case kNumberType:
        return plain_numbers ? json_.number : kNoNode;
      case kIntegerType:
        return facts.numbers.bounded() ? kNoNode : json_.integer;
      case kStringType:
        return facts.strings.constrained() ? kNoNode : json_.string;
      case kArrayType:
        return facts.arrays.constrained ? kNoNode : json_.array;
      case kObjectType:
        return facts.objects.constrained ? kNoNode : json_.object;
      default:
        return kNoNode;
    }
  }

  void Fill(GrammarNode rule, const SchemaSet& set) {
    const GrammarNode end = rules_->AddNode();
    rules_->Accept(end);
    for (const SchemaSet& alternative : reader_.Alternatives(set)) {
      const GrammarNode json_rule = JsonRuleOf(alternative);
      if (json_rule != kNoNode) {
        rules_->Call(rule, json_rule, end);
      } else {
        FillAlternative(alternative, rule, end);
      }
    }
  }

  void FillAlternative(const SchemaSet& set, GrammarNode from, GrammarNode to) {
    const SchemaFacts facts = ReadFacts(set, reader_);
    if (facts.values) return AddValues(facts, set, from, to);
    if (facts.written & kNullType) rules_->Literals(from, {"null"}, to);
    if (facts.written & kBooleanType) rules_->Literals(from, {"true", "false"}, to);
    if (facts.written & kNumberType) AddNumbers(facts, set, from, to);
    if (facts.written & kStringType) AddStrings(facts.strings, from, to);
    if (facts.written & kArrayType) AddArrays(facts.arrays, from, to);
    if (facts.written & kObjectType) AddObjects(facts.objects, from, to);
  }

  void AddNumbers(const SchemaFacts& facts, const SchemaSet& set, GrammarNode from,
                  GrammarNode to) {
    NumberRange range = facts.numbers;
    if (!(facts.written & kFractionType)) range.integers = true;
    if (range.bounded()) {
      rules_->Call(from, AddNumberRule(range, reader_.Where(set.back()), rules_), to);
    } else {
      rules_->Call(from, range.integers ? json_.integer : json_.number, to);
    }
  }

  // --- strings

  void AddStrings(const StringFacts& facts, GrammarNode from, GrammarNode to) {
    if (!facts.constrained()) return rules_->Call(from, json_.string, to);
    if (!facts.has_texts()) return AddString(from, facts.min, facts.max, to, rules_);
    AddString(from, TextsOfFacts(facts), to, rules_);
  }

  ByteDfa TextsOfFacts(const StringFacts& facts) {
    ByteDfa texts = TextsOfLength(facts.min, facts.max);
    const auto narrow = [&](const std::string& pattern, const std::string& where) {
      texts = Both(texts, PatternTexts(pattern, where, &budget_));
      budget_.Take(texts.size() * 64, where);  // a state of a product is as much work as 64 others
    };
    for (SchemaNode pattern : facts.patterns) {
      narrow(pattern->get<std::string>(), reader_.Where(pattern));
    }
    for (SchemaNode format : facts.formats) {
      const auto& name = format->get_ref<const std::string&>();
      const std::optional<std::string> pattern = FormatPattern(name);
      if (!pattern) {
        reader_.Unsupported(format,
                            "the format {} is not supported; date, time, date-time, uuid and ipv4 "
                            "are",
                            Quoted(name));
      }
      narrow(*pattern, reader_.Where(format));
    }
    return texts;
  }

  // --- enum and const

  void AddValues(const SchemaFacts& facts, const SchemaSet& set, GrammarNode from, GrammarNode to) {
    std::optional<ByteDfa> texts;
    if (facts.strings.constrained()) texts = TextsOfFacts(facts.strings);
    std::vector<std::string> scalars;
    for (SchemaNode value : *facts.values) {
      if (value->is_structured()) {
        const bool constrained =
            value->is_array() ? facts.arrays.constrained : facts.objects.constrained;
        if (constrained) {
          reader_.Unsupported(set.back(),
                              "`enum` or `const` of arrays or objects together with "
                              "keywords about them is not supported");
        }
        rules_->Skip(AddValue(*value, from), to);
      } else if (value->is_string()) {
        const auto& text = value->get_ref<const std::string&>();
        if (!texts || texts->Matches(text)) scalars.push_back(CanonicalString(text));
      } else if (!value->is_number() || facts.numbers.Contains(*value)) {
        scalars.push_back(value->dump());
      }
    }
    if (!scalars.empty()) rules_->Literals(from, std::move(scalars), to);
  }

  // Adds one value with the white space that is allowed; returns its end.
  GrammarNode AddValue(const OrderedJson& value, GrammarNode from) {
    if (value.is_string()) {
      return rules_->Literal(from, CanonicalString(value.get_ref<const std::string&>()));
    }
    if (!value.is_structured()) return rules_->Literal(from, value.dump());
    const bool object = value.is_object();
    GrammarNode at = rules_->Literal(from, object ? "{" : "[");
    bool first = true;
    for (const auto& [key, member] : value.items()) {
      if (!first) at = rules_->Literal(at, ",");
      first = false;
      at = AfterBreak(at);
      if (object) at = AddColon(rules_->Literal(at, CanonicalString(key)), rules_);
      at = AddValue(member, at);
    }
    if (!first) at = AfterBreak(at);
    return rules_->Literal(at, object ? "}" : "]");
  }

  GrammarNode AfterBreak(GrammarNode from) {
    const GrammarNode to = rules_->AddNode();
    AddLineBreak(json_, from, to, rules_);
    return to;
  }

  // --- arrays

  void AddArrays(const ArrayFacts& facts, GrammarNode from, GrammarNode to) {
    const GrammarNode inside = rules_->Literal(from, "[");
    if (facts.min == 0) rules_->Byte(inside, ']', to);
    GrammarNode begin = AfterBreak(inside);
    // Items after the prefix that are not described are written up to the minimum only.
    const size_t described = std::max(facts.prefix.size(), facts.min);
    const size_t max = facts.more ? facts.max : std::min(facts.max, described);
    for (size_t i = 0; i < max; ++i) {
      const bool loops = max == SIZE_MAX && i >= described;
      const GrammarNode end = rules_->AddNode();
      rules_->Call(begin, RuleOf(i < facts.prefix.size() ? facts.prefix[i] : facts.items), end);
      if (i + 1 >= facts.min) rules_->Byte(AfterBreak(end), ']', to);
      if (i + 1 == max) return;
      const GrammarNode comma = rules_->Literal(end, ",");
      if (loops) return AddLineBreak(json_, comma, begin, rules_);
      begin = AfterBreak(comma);
    }
  }

  // --- objects

  // Before each property there are two places: behind what was written before it, and at its name,
  // behind '{' or a comma.
  void AddObjects(const ObjectFacts& facts, GrammarNode from, GrammarNode to) {
    const size_t count = facts.properties.size();
    std::vector<GrammarNode> names(count + 1), ends(count + 1);
    for (size_t i = 0; i <= count; ++i) names[i] = rules_->AddNode(), ends[i] = rules_->AddNode();
    const GrammarNode inside = rules_->Literal(from, "{");
    AddLineBreak(json_, inside, names[0], rules_);
    if (facts.more) AddAdditional(facts, names[count], ends[count]);
    bool may_close = true;
    for (size_t i = count + 1; i-- > 0;) {
      if (i < count) {
        const ObjectFacts::Property& property = facts.properties[i];
        const GrammarNode name = rules_->Literal(names[i], CanonicalString(property.name));
        rules_->Call(AddColon(name, rules_), RuleOf(property.schemas), ends[i + 1]);
        if (!property.required) rules_->Skip(names[i], names[i + 1]);
        may_close = may_close && !property.required;
      }
      AddLineBreak(json_, rules_->Literal(ends[i], ","), names[i], rules_);
      if (may_close) rules_->Byte(AfterBreak(ends[i]), '}', to);
    }
    if (may_close) rules_->Byte(inside, '}', to);
  }

  void AddAdditional(const ObjectFacts& facts, GrammarNode name, GrammarNode end) {
    const GrammarNode after = rules_->AddNode();
    if (facts.properties.empty()) {
      rules_->Call(name, json_.string, after);
    } else {
      std::vector<std::string> names;
      for (const auto& property : facts.properties) names.push_back(property.name);
      AddString(name, Without(TextsOfLength(0, SIZE_MAX), TextsOf(names)), after, rules_);
    }
    rules_->Call(AddColon(after, rules_), RuleOf(facts.additional), end);
  }

  SchemaReader reader_;
  const JsonRules& json_;
  GrammarRules* rules_;
  PatternBudget budget_;
  std::map<SchemaSet, GrammarNode> rules_of_;
  std::vector<std::pair<GrammarNode, SchemaSet>> open_;  // rules that are still to be filled
};

}  // namespace

GrammarNode AddSchemaRule(const OrderedJson& schema, const JsonRules& json, GrammarRules* rules) {
  return SchemaRules(schema, json, rules).Add();
}

}  // namespace lorikeet
