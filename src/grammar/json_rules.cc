#include "grammar/json_rules.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

namespace lorikeet {
namespace {

// Characters that are escaped by one letter in canonical form, and the letters.
constexpr std::string_view kEscaped = "\"\\\b\t\n\f\r", kLetters = "\"\\btnfr";
constexpr char kHexDigits[] = "0123456789abcdef";

// Nodes of the bytes after the first of a character of several bytes, or after a backslash, up to
// one node at which the character ends.
class CharacterRules {
 public:
  CharacterRules(GrammarRules* rules, GrammarNode end) : rules_(rules), end_(end) {}

  // A character of a JSON string in any spelling, from `from` to the end.
  void Add(GrammarNode from) {
    rules_->Bytes(from, 0x20, '"' - 1, end_);
    rules_->Bytes(from, '"' + 1, '\\' - 1, end_);
    rules_->Bytes(from, '\\' + 1, 0x7F, end_);
    AddMultiByte(from);
    const GrammarNode escape = rules_->AddNode();
    rules_->Byte(from, '\\', escape);
    AddEscape(escape);
  }

 private:
  GrammarNode Node(uint8_t low, uint8_t high, GrammarNode to) {
    const GrammarNode node = rules_->AddNode();
    rules_->Bytes(node, low, high, to);
    return node;
  }

  // Table 3-7 of the Unicode standard.
  void AddMultiByte(GrammarNode from) {
    const GrammarNode last = Node(0x80, 0xBF, end_), last_two = Node(0x80, 0xBF, last);
    rules_->Bytes(from, 0xC2, 0xDF, last);
    rules_->Bytes(from, 0xE0, 0xE0, Node(0xA0, 0xBF, last));
    rules_->Bytes(from, 0xE1, 0xEC, last_two);
    rules_->Bytes(from, 0xED, 0xED, Node(0x80, 0x9F, last));
    rules_->Bytes(from, 0xEE, 0xEF, last_two);
    rules_->Bytes(from, 0xF0, 0xF0, Node(0x90, 0xBF, last_two));
    rules_->Bytes(from, 0xF1, 0xF3, Node(0x80, 0xBF, last_two));
    rules_->Bytes(from, 0xF4, 0xF4, Node(0x80, 0x8F, last_two));
  }

  void HexDigit(GrammarNode from, std::string_view letters, GrammarNode to) {
    for (const char letter : letters) rules_->Byte(from, letter, to);
  }
  GrammarNode AnyHexDigit(GrammarNode to) {
    const GrammarNode node = Node('0', '9', to);
    rules_->Bytes(node, 'a', 'f', to);
    rules_->Bytes(node, 'A', 'F', to);
    return node;
  }

  // After a backslash. \uD800 to \uDBFF are followed by \uDC00 to \uDFFF, which never stand alone.
  void AddEscape(GrammarNode from) {
    for (const char letter : std::string_view("\"\\/bfnrt")) rules_->Byte(from, letter, end_);
    const GrammarNode last = AnyHexDigit(end_), last_two = AnyHexDigit(last);
    const GrammarNode unicode = rules_->AddNode(), after_d = rules_->AddNode();
    rules_->Byte(from, 'u', unicode);
    HexDigit(unicode, "0123456789abcefABCEF", AnyHexDigit(last_two));
    HexDigit(unicode, "dD", after_d);
    HexDigit(after_d, "01234567", last_two);
    const GrammarNode second = rules_->AddNode(), second_d = rules_->AddNode();
    HexDigit(second, "dD", second_d);
    HexDigit(second_d, "cdefCDEF", last_two);
    const GrammarNode pair = Node('\\', '\\', Node('u', 'u', second));
    HexDigit(after_d, "89abAB", AnyHexDigit(AnyHexDigit(pair)));
  }

  GrammarRules* rules_;
  const GrammarNode end_;
};

// 1 to max digits from `from` to `to`.
void AddDigits(GrammarNode from, int max, GrammarNode to, GrammarRules* rules) {
  for (int i = 0; i < max; ++i) {
    const GrammarNode next = rules->AddNode();
    rules->Bytes(from, '0', '9', next);
    rules->Skip(next, to);
    from = next;
  }
}

// The digits of an integer without leading zeros, from `from` to `to`.
void AddWhole(GrammarNode from, bool zero, GrammarNode to, GrammarRules* rules) {
  if (zero) rules->Byte(from, '0', to);
  const GrammarNode first = rules->AddNode();
  rules->Bytes(from, '1', '9', first);
  rules->Skip(first, to);
  AddDigits(first, kMaxDigits - 1, to, rules);
}

void FillInteger(GrammarNode rule, GrammarRules* rules) {
  const GrammarNode end = rules->AddNode(), minus = rules->AddNode();
  rules->Accept(end);
  rules->Byte(rule, '-', minus);
  AddWhole(rule, true, end, rules);
  AddWhole(minus, false, end, rules);
}

void FillNumber(GrammarNode rule, GrammarRules* rules) {
  const GrammarNode digits = rules->AddNode(), whole = rules->AddNode();
  rules->Byte(rule, '-', digits);
  rules->Skip(rule, digits);
  AddWhole(digits, true, whole, rules);
  const GrammarNode point = rules->AddNode(), fraction = rules->AddNode();
  rules->Byte(whole, '.', point);
  rules->Skip(whole, fraction);
  AddDigits(point, kMaxDigits, fraction, rules);
  const GrammarNode mark = rules->AddNode(), sign = rules->AddNode(), end = rules->AddNode();
  for (const char e : std::string_view("eE")) rules->Byte(fraction, e, mark);
  for (const char s : std::string_view("+-")) rules->Byte(mark, s, sign);
  rules->Skip(mark, sign);
  AddDigits(sign, 2, end, rules);
  rules->Skip(fraction, end);
  rules->Accept(end);
}

void FillLineBreak(GrammarNode rule, GrammarRules* rules) {
  const GrammarNode end = rules->AddNode(), feed = rules->AddNode();
  rules->Accept(end);
  rules->Byte(rule, ' ', end);
  rules->Byte(rule, '\n', feed);
  rules->Skip(feed, end);
  for (const auto& [byte, max] : {std::pair(' ', kMaxIndent), std::pair('\t', kMaxTabs)}) {
    GrammarNode from = feed;
    for (int i = 0; i < max; ++i) {
      const GrammarNode next = rules->AddNode();
      rules->Byte(from, byte, next);
      rules->Skip(next, end);
      from = next;
    }
  }
}

// Between `open` and `close`: elements that begin at `first` and end at `last`.
struct Elements {
  GrammarNode first, last;
};
Elements FillContainer(const JsonRules& json, GrammarNode rule, char open, char close,
                       GrammarRules* rules) {
  const Elements elements = {rules->AddNode(), rules->AddNode()};
  const GrammarNode inside = rules->AddNode(), end = rules->AddNode();
  const GrammarNode comma = rules->AddNode(), last_break = rules->AddNode();
  rules->Byte(rule, open, inside);
  rules->Byte(inside, close, end);
  AddLineBreak(json, inside, elements.first, rules);
  rules->Byte(elements.last, ',', comma);
  AddLineBreak(json, comma, elements.first, rules);
  AddLineBreak(json, elements.last, last_break, rules);
  rules->Byte(last_break, close, end);
  rules->Accept(end);
  return elements;
}

void FillValue(const JsonRules& json, GrammarRules* rules) {
  const GrammarNode end = rules->AddNode();
  rules->Accept(end);
  for (const char* word : {"null", "true", "false"}) {
    rules->Skip(rules->Literal(json.value, word), end);
  }
  for (const GrammarNode rule : {json.object, json.array, json.string, json.number}) {
    rules->Call(json.value, rule, end);
  }
}

// Edges for the bytes of a state of a ByteDfa that stand for themselves in a string.
void AddPlainBytes(GrammarNode from, const ByteDfa::Row& row, const std::vector<GrammarNode>& nodes,
                   GrammarRules* rules) {
  const auto plain = [&](int byte) { return byte >= 0x20 && byte != '"' && byte != '\\'; };
  for (int low = 0; low < 256; ++low) {
    if (row[low] < 0 || !plain(low)) continue;
    int high = low;
    while (high < 255 && plain(high + 1) && row[high + 1] == row[low]) ++high;
    rules->Bytes(from, static_cast<uint8_t>(low), static_cast<uint8_t>(high), nodes[row[low]]);
    low = high;
  }
}

// The escaped bytes of a state of a ByteDfa, in canonical form. Nodes are added where needed.
class CanonicalEscapes {
 public:
  CanonicalEscapes(GrammarNode from, const std::vector<GrammarNode>& nodes, GrammarRules* rules)
      : from_(from), nodes_(nodes), rules_(rules) {}

  void Add(const ByteDfa::Row& row) {
    for (int byte = 0; byte < 0x80; ++byte) {
      if (row[byte] < 0) continue;
      const size_t at = kEscaped.find(static_cast<char>(byte));
      if (at != kEscaped.npos) {
        rules_->Byte(Backslash(), kLetters[at], nodes_[row[byte]]);
      } else if (byte < 0x20) {
        rules_->Byte(Control(byte >> 4), kHexDigits[byte & 15], nodes_[row[byte]]);
      }
    }
  }

 private:
  GrammarNode Backslash() {
    if (backslash_ == kNoNode) backslash_ = rules_->Literal(from_, "\\");
    return backslash_;
  }
  GrammarNode Control(int high) {  // after \u000 or \u001
    if (control_[high] == kNoNode) {
      if (prefix_ == kNoNode) prefix_ = rules_->Literal(Backslash(), "u00");
      control_[high] = rules_->Literal(prefix_, std::string_view(kHexDigits).substr(high, 1));
    }
    return control_[high];
  }

  const GrammarNode from_;
  const std::vector<GrammarNode>& nodes_;  // by state
  GrammarRules* rules_;
  GrammarNode backslash_ = kNoNode, prefix_ = kNoNode, control_[2] = {kNoNode, kNoNode};
};

}  // namespace

JsonRules AddJsonRules(GrammarRules* rules) {
  const JsonRules json = {.line_break = rules->AddRule(),
                          .value = rules->AddRule(),
                          .object = rules->AddRule(),
                          .array = rules->AddRule(),
                          .string = rules->AddRule(),
                          .number = rules->AddRule(),
                          .integer = rules->AddRule()};
  FillLineBreak(json.line_break, rules);
  const GrammarNode string_end = rules->AddNode();
  AddString(json.string, 0, SIZE_MAX, string_end, rules);
  rules->Accept(string_end);
  FillNumber(json.number, rules);
  FillInteger(json.integer, rules);
  const Elements members = FillContainer(json, json.object, '{', '}', rules);
  const GrammarNode key = rules->AddNode();
  rules->Call(members.first, json.string, key);
  rules->Call(AddColon(key, rules), json.value, members.last);
  const Elements items = FillContainer(json, json.array, '[', ']', rules);
  rules->Call(items.first, json.value, items.last);
  FillValue(json, rules);
  return json;
}

void AddLineBreak(const JsonRules& json, GrammarNode from, GrammarNode to, GrammarRules* rules) {
  rules->Skip(from, to);
  rules->Call(from, json.line_break, to);
}

GrammarNode AddColon(GrammarNode from, GrammarRules* rules) {
  const GrammarNode colon = rules->Literal(from, ":"), end = rules->Literal(colon, " ");
  rules->Skip(colon, end);
  return end;
}

void AddString(GrammarNode from, size_t min, size_t max, GrammarNode to, GrammarRules* rules) {
  GrammarNode at = rules->AddNode();
  rules->Byte(from, '"', at);
  for (size_t length = 0;; ++length) {
    if (length >= min) rules->Byte(at, '"', to);
    if (length >= max) return;
    const bool loops = max == SIZE_MAX && length >= min;
    const GrammarNode next = loops ? at : rules->AddNode();
    CharacterRules(rules, next).Add(at);
    if (loops) return;
    at = next;
  }
}

void AddString(GrammarNode from, const ByteDfa& texts, GrammarNode to, GrammarRules* rules) {
  std::vector<GrammarNode> nodes(texts.size());
  for (GrammarNode& node : nodes) node = rules->AddNode();
  rules->Byte(from, '"', nodes[0]);
  for (size_t s = 0; s < texts.size(); ++s) {
    if (texts.Accepts(s)) rules->Byte(nodes[s], '"', to);
    AddPlainBytes(nodes[s], texts.row(s), nodes, rules);
    CanonicalEscapes(nodes[s], nodes, rules).Add(texts.row(s));
  }
}

std::string CanonicalString(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const size_t at = kEscaped.find(c);
    if (at != kEscaped.npos) {
      out += '\\';
      out += kLetters[at];
    } else if (static_cast<uint8_t>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace lorikeet
