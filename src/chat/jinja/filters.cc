#include "chat/jinja/filters.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "chat/jinja/arguments.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/text.h"
#include "core/error.h"

namespace lorikeet::jinja {
namespace {

// soft_str: a string as it is, anything else as str() of it.
std::string Soft(const Value& value, Budget& budget) { return Str(value, budget); }

template <auto kMap>
Value CaseFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  const BoundArguments none("case filter", call, {});
  const std::string text = Soft(operand, budget);
  budget.Charge(static_cast<int64_t>(text.size() / 8));
  return Value::String(kMap(text), operand.IsMarkup());
}

Value TrimFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  const BoundArguments args("trim", call, {"chars"});
  const std::string text = Soft(operand, budget);
  return Value::String(std::string(Strip(text, args.OptionalText(0), true, true)),
                       operand.IsMarkup());
}

Value DefaultFilter(const Value& operand, const CallArguments& call, Budget&) {
  const BoundArguments args("default", call, {"default_value", "boolean"});
  const bool missing = operand.Is(Kind::kUndefined) || (args.TruthOr(1, false) && !Truthy(operand));
  if (!missing) return operand;
  return args.Has(0) ? args[0] : Value::String("");
}

Value ReplaceFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  const BoundArguments args("replace", call, {"old", "new", "count"}, 2);
  const std::string text = Soft(operand, budget);
  const int64_t limit = args.HasNonNone(2) ? args.IntOr(2, -1) : -1;
  std::string out =
      Replace(text, Soft(args[0], budget), Soft(args[1], budget), limit, Budget::kMaxString);
  budget.ChargeBytes(out.size());
  return Value::String(std::move(out));
}

Value StringFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  const BoundArguments none("string", call, {});
  return operand.Is(Kind::kString) ? operand : Value::String(Str(operand, budget));
}

Value SafeFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  const BoundArguments none("safe", call, {});
  return Value::String(Str(operand, budget), true);
}

Value EscapeFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  const BoundArguments none("escape", call, {});
  if (operand.IsMarkup()) return operand;
  std::string out = EscapeHtml(Str(operand, budget));
  budget.ChargeBytes(out.size());
  return Value::String(std::move(out), true);
}

Value IndentFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  const BoundArguments args("indent", call, {"width", "first", "blank"});
  if (!operand.Is(Kind::kString)) {
    Fail(ErrorCode::kInvalidArgument, "indent: a string is required, not {}", operand.TypeName());
  }
  const std::string indent =
      args.Has(0) && args[0].Is(Kind::kString)
          ? args[0].Text()
          : std::string(static_cast<size_t>(std::clamp<int64_t>(args.IntOr(0, 4), 0, 10'000)), ' ');
  const bool blank = args.TruthOr(2, false);
  const std::string text = operand.Text() + "\n";
  std::string out = args.TruthOr(1, false) ? indent : "";
  bool first = true;
  for (std::string_view line : SplitLines(text, false)) {
    if (!first) out += "\n";
    if (!first && (blank || !line.empty())) out += indent;
    first = false;
    out += line;
    budget.ChargeBytes(line.size() + indent.size());
    if (out.size() > Budget::kMaxString) budget.ChargeBytes(out.size());
  }
  return Value::String(std::move(out), operand.IsMarkup());
}

Value ToJsonFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  const BoundArguments args("tojson", call, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = args.TruthOr(0, false);
  style.sort_keys = args.TruthOr(3, false);
  if (args.HasNonNone(1)) {
    style.has_indent = true;
    style.item_separator = ",";
    style.indent =
        args[1].Is(Kind::kString)
            ? args[1].Text()
            : std::string(static_cast<size_t>(std::clamp<int64_t>(args.IntOr(1, 0), 0, 1000)), ' ');
  }
  if (args.HasNonNone(2)) {
    const std::vector<Value> pair = Iterate(args[2], budget);
    if (pair.size() != 2 || !pair[0].Is(Kind::kString) || !pair[1].Is(Kind::kString)) {
      Fail(ErrorCode::kInvalidArgument, "tojson: separators must be two strings");
    }
    style.item_separator = pair[0].Text();
    style.key_separator = pair[1].Text();
  }
  return Value::String(ToJson(operand, style, budget));
}

// Python's int(text) and float(text): blanks around, single underscores between digits.
std::optional<std::string> PlainNumber(std::string_view text) {
  text = Strip(text, {}, true, true);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '_') {
      const bool between = i > 0 && i + 1 < text.size() &&
                           std::isdigit(static_cast<unsigned char>(text[i - 1])) &&
                           std::isdigit(static_cast<unsigned char>(text[i + 1]));
      if (!between) return {};
      continue;
    }
    out.push_back(text[i]);
  }
  if (out.starts_with('+') && !out.starts_with("+-")) out.erase(0, 1);
  if (out.empty()) return {};
  return out;
}

std::optional<double> ParseFloat(std::string_view text) {
  const auto plain = PlainNumber(text);
  if (!plain) return {};
  double value = 0;
  const auto result = std::from_chars(plain->data(), plain->data() + plain->size(), value);
  if (result.ptr != plain->data() + plain->size()) return {};
  if (result.ec == std::errc::result_out_of_range) {
    Fail(ErrorCode::kUnsupported, "the number {} is beyond a double", plain->substr(0, 60));
  }
  if (result.ec != std::errc()) return {};
  return value;
}

Value FloatToInt(double value, const Value& fallback) {
  if (std::isnan(value) || std::isinf(value)) return fallback;
  if (!(std::fabs(value) < 9.2e18)) Fail(ErrorCode::kUnsupported, "int: beyond 64 bits signed");
  return Value::Int(static_cast<int64_t>(value));
}

Value IntFilter(const Value& operand, const CallArguments& call, Budget&) {
  const BoundArguments args("int", call, {"default", "base"});
  const Value fallback = args.Has(0) ? args[0] : Value::Int(0);
  if (operand.IsIntegral()) return Value::Int(operand.AsInt());
  if (operand.Is(Kind::kFloat)) return FloatToInt(operand.AsDouble(), fallback);
  if (!operand.Is(Kind::kString)) return fallback;
  const int64_t base = args.IntOr(1, 10);
  if (base < 2 || base > 36) Fail(ErrorCode::kUnsupported, "int: base {} is not supported", base);
  if (const auto plain = PlainNumber(operand.Text())) {
    std::string_view digits = *plain;
    const std::string prefix = base == 16 ? "0x" : base == 8 ? "0o" : base == 2 ? "0b" : "";
    if (!prefix.empty() && Lower(digits.substr(0, 2)) == prefix) digits.remove_prefix(2);
    int64_t value = 0;
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value,
                                        static_cast<int>(base));
    if (result.ptr == digits.data() + digits.size()) {
      if (result.ec == std::errc::result_out_of_range) {
        Fail(ErrorCode::kUnsupported, "int: {} is beyond 64 bits signed", digits.substr(0, 60));
      }
      if (result.ec == std::errc()) return Value::Int(value);
    }
  }
  const auto real = ParseFloat(operand.Text());
  return real ? FloatToInt(*real, fallback) : fallback;
}

Value FloatFilter(const Value& operand, const CallArguments& call, Budget&) {
  const BoundArguments args("float", call, {"default"});
  if (operand.IsNumber()) return Value::Float(operand.AsDouble());
  if (operand.Is(Kind::kString)) {
    if (const auto value = ParseFloat(operand.Text())) return Value::Float(*value);
  }
  return args.Has(0) ? args[0] : Value::Float(0);
}

Value RoundFilter(const Value& operand, const CallArguments& call, Budget&) {
  const BoundArguments args("round", call, {"precision", "method"});
  if (!operand.IsNumber()) {
    Fail(ErrorCode::kInvalidArgument, "round: a number is required, not {}", operand.TypeName());
  }
  const int64_t precision = args.IntOr(0, 0);
  const std::string_view method = args.Has(1) ? args.Text(1) : "common";
  if (precision < 0 || precision > 300) {
    Fail(ErrorCode::kUnsupported, "round: precision {} is not supported", precision);
  }
  if (method == "common" && operand.IsIntegral()) return Value::Int(operand.AsInt());
  const double value = operand.AsDouble();
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (method == "ceil") return Value::Float(std::ceil(value * scale) / scale);
  if (method == "floor") return Value::Float(std::floor(value * scale) / scale);
  if (method != "common") {
    Fail(ErrorCode::kInvalidArgument, "round: method must be common, ceil or floor");
  }
  if (!std::isfinite(value)) return operand;
  // Correctly rounded decimal digits, halves to even in the exact value, as Python's round().
  const std::string text = fmt::format("{:.{}f}", value, precision);
  double rounded = 0;
  std::from_chars(text.data(), text.data() + text.size(), rounded);
  return Value::Float(rounded);
}

Value AbsFilter(const Value& operand, const CallArguments& call, Budget&) {
  const BoundArguments none("abs", call, {});
  if (operand.Is(Kind::kFloat)) return Value::Float(std::fabs(operand.AsDouble()));
  if (operand.IsIntegral() && operand.AsInt() >= 0) return Value::Int(operand.AsInt());
  return UnaryOperator("-", operand);
}

Value FormatFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  const Value text = operand.Is(Kind::kString) ? operand : Value::String(Str(operand, budget));
  if (call.named.empty()) {
    return PrintfFormat(text, Value::MakeList(call.positional, ListKind::kTuple), budget);
  }
  Dict dict;
  for (const auto& [name, value] : call.named) dict.Append(Value::String(name), value);
  return PrintfFormat(text, Value::MakeDict(std::move(dict)), budget);
}

Value LengthFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  const BoundArguments none("length", call, {});
  if (operand.Is(Kind::kString)) budget.ChargeBytes(operand.Text().size());
  return Value::Int(Length(operand));
}

Value AttrFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  const BoundArguments args("attr", call, {"name"}, 1);
  const std::string name(args.Text(0));
  if (operand.Is(Kind::kDict)) {  // unlike value.name, never an entry
    auto method = Method(operand, name, budget);
    return method ? *std::move(method)
                  : Value::Undefined(fmt::format("'dict object' has no attribute '{}'", name));
  }
  return GetAttribute(operand, name, budget);
}

Value WordCountFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  const BoundArguments none("wordcount", call, {});
  const std::string text = Soft(operand, budget);
  int64_t count = 0;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = DecodeAt(text, at);
    const std::string_view piece = std::string_view(text).substr(at, c.bytes);
    const bool word = c.value == '_' || IsClass(piece, "alnum");
    if (word && !inside) ++count;
    inside = word;
    at += c.bytes;
  }
  budget.Charge(static_cast<int64_t>(text.size() / 4));
  return Value::Int(count);
}

struct NamedFilter {
  std::string_view name;
  FilterFunction apply;
};
constexpr NamedFilter kFilters[] = {
    {"tojson", ToJsonFilter},
    {"trim", TrimFilter},
    {"default", DefaultFilter},
    {"d", DefaultFilter},
    {"length", LengthFilter},
    {"count", LengthFilter},
    {"upper", CaseFilter<Upper>},
    {"lower", CaseFilter<Lower>},
    {"capitalize", CaseFilter<Capitalize>},
    {"title", CaseFilter<TitleFilter>},
    {"replace", ReplaceFilter},
    {"string", StringFilter},
    {"safe", SafeFilter},
    {"escape", EscapeFilter},
    {"e", EscapeFilter},
    {"indent", IndentFilter},
    {"int", IntFilter},
    {"float", FloatFilter},
    {"round", RoundFilter},
    {"abs", AbsFilter},
    {"format", FormatFilter},
    {"attr", AttrFilter},
    {"wordcount", WordCountFilter},
};

FilterFunction FindFilter(const std::string& name) {
  for (const NamedFilter& filter : kFilters) {
    if (filter.name == name) return filter.apply;
  }
  return FindSequenceFilter(name);
}

}  // namespace

Value ApplyFilter(const std::string& name, const Value& operand, const CallArguments& call,
                  Budget& budget) {
  const FilterFunction filter = FindFilter(name);
  if (filter == nullptr) Fail(ErrorCode::kUnsupported, "the filter '{}' is not supported", name);
  return filter(operand, call, budget);
}

bool IsFilter(const std::string& name) { return FindFilter(name) != nullptr; }

}  // namespace lorikeet::jinja
