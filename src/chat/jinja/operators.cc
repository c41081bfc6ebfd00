#include "chat/jinja/operators.h"

#include <algorithm>
#include <cmath>

#include "chat/jinja/text.h"
#include "core/error.h"

namespace lorikeet::jinja {
namespace {

[[noreturn]] void BadOperands(std::string_view op, const Value& a, const Value& b) {
  for (const Value* side : {&a, &b}) {
    if (side->Is(Kind::kUndefined)) {
      Fail(ErrorCode::kInvalidArgument, "{}", side->UndefinedMessage());
    }
  }
  Fail(ErrorCode::kInvalidArgument, "unsupported operand types for {}: {} and {}", op, a.TypeName(),
       b.TypeName());
}

[[noreturn]] void Overflow() {
  Fail(ErrorCode::kUnsupported, "an integer goes beyond 64 bits signed");
}

int64_t FloorDivide(int64_t a, int64_t b) {
  if (b == -1) {
    int64_t result;
    if (__builtin_sub_overflow(int64_t{0}, a, &result)) Overflow();
    return result;
  }
  return a / b - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
}

int64_t FloorModulo(int64_t a, int64_t b) {
  if (b == -1) return 0;
  const int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

double FloorModulo(double a, double b) {
  const double rest = std::fmod(a, b);
  if (rest != 0) return (rest < 0) != (b < 0) ? rest + b : rest;
  return std::copysign(0.0, b);
}

Value IntegerPower(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) Fail(ErrorCode::kInvalidArgument, "0 cannot be raised to a negative power");
    return Value::Float(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  if (base == 0 || base == 1) return Value::Int(exponent == 0 ? 1 : base);
  if (base == -1) return Value::Int(exponent % 2 == 0 ? 1 : -1);
  int64_t result = 1;
  for (int64_t i = 0; i < exponent; ++i) {
    if (__builtin_mul_overflow(result, base, &result)) Overflow();
  }
  return Value::Int(result);
}

Value IntegerOperator(std::string_view op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  if (op == "+") {
    overflow = __builtin_add_overflow(a, b, &result);
  } else if (op == "-") {
    overflow = __builtin_sub_overflow(a, b, &result);
  } else if (op == "*") {
    overflow = __builtin_mul_overflow(a, b, &result);
  } else if (op == "**") {
    return IntegerPower(a, b);
  } else {
    if (b == 0) Fail(ErrorCode::kInvalidArgument, "division by zero");
    if (op == "/") return Value::Float(static_cast<double>(a) / static_cast<double>(b));
    result = op == "//" ? FloorDivide(a, b) : FloorModulo(a, b);
  }
  if (overflow) Overflow();
  return Value::Int(result);
}

Value FloatOperator(std::string_view op, double a, double b) {
  if (op == "+") return Value::Float(a + b);
  if (op == "-") return Value::Float(a - b);
  if (op == "*") return Value::Float(a * b);
  if (op == "**") return Value::Float(std::pow(a, b));
  if (b == 0) Fail(ErrorCode::kInvalidArgument, "division by zero");
  if (op == "/") return Value::Float(a / b);
  if (op == "%") return Value::Float(FloorModulo(a, b));
  const double quotient = (a - FloorModulo(a, b)) / b;  // near a whole number already
  return Value::Float(std::floor(quotient + 0.5));
}

// A Markup operand makes the other one escaped, as markupsafe does.
Value AddStrings(const Value& a, const Value& b, Budget& budget) {
  const bool markup = a.IsMarkup() || b.IsMarkup();
  budget.ChargeBytes(a.Text().size() + b.Text().size());
  if (!markup) return Value::String(a.Text() + b.Text());
  std::string text = a.IsMarkup() ? a.Text() : EscapeHtml(a.Text());
  text += b.IsMarkup() ? b.Text() : EscapeHtml(b.Text());
  return Value::String(std::move(text), true);
}

Value AddLists(const List& a, const List& b, Budget& budget) {
  budget.Charge(static_cast<int64_t>(a.items.size() + b.items.size()));
  std::vector<Value> items = a.items;
  items.insert(items.end(), b.items.begin(), b.items.end());
  return Value::MakeList(std::move(items), a.kind);
}

bool IsSequence(const Value& value) {
  return value.Is(Kind::kString) || value.IsList(ListKind::kList) || value.IsList(ListKind::kTuple);
}

Value Repeat(const Value& value, int64_t times, Budget& budget) {
  times = std::max<int64_t>(times, 0);
  const size_t size = value.Is(Kind::kString) ? value.Text().size() : value.AsList().items.size();
  size_t total = 0;
  if (__builtin_mul_overflow(size, static_cast<size_t>(times), &total)) total = SIZE_MAX;
  budget.ChargeBytes(total);
  if (value.Is(Kind::kString)) {
    std::string text;
    text.reserve(total);
    for (int64_t i = 0; size > 0 && i < times; ++i) text += value.Text();
    return Value::String(std::move(text), value.IsMarkup());
  }
  budget.Charge(static_cast<int64_t>(total));
  std::vector<Value> items;
  for (int64_t i = 0; size > 0 && i < times; ++i) {
    items.insert(items.end(), value.AsList().items.begin(), value.AsList().items.end());
  }
  return Value::MakeList(std::move(items), value.AsList().kind);
}

const char* ObjectName(const Value& value, std::string& buffer) {
  if (value.Is(Kind::kNone)) return "None";
  buffer = fmt::format("'{} object'", value.TypeName());
  return buffer.c_str();
}

Value Missing(const Value& value, const std::string& name) {
  std::string buffer;
  return Value::Undefined(fmt::format("{} has no attribute '{}'", ObjectName(value, buffer), name));
}

void RequireDefined(const Value& value) {
  if (value.Is(Kind::kUndefined)) {
    Fail(ErrorCode::kInvalidArgument, "{}", value.UndefinedMessage());
  }
}

Value LoopAttribute(LoopState& loop, const std::string& name) {
  const auto& items = loop.items.AsList().items;
  const auto index = static_cast<int64_t>(loop.index);
  const auto length = static_cast<int64_t>(items.size());
  if (name == "index") return Value::Int(index + 1);
  if (name == "index0") return Value::Int(index);
  if (name == "revindex") return Value::Int(length - index);
  if (name == "revindex0") return Value::Int(length - index - 1);
  if (name == "first") return Value::Bool(index == 0);
  if (name == "last") return Value::Bool(index + 1 == length);
  if (name == "length") return Value::Int(length);
  if (name == "depth") return Value::Int(1);
  if (name == "depth0") return Value::Int(0);
  if (name == "previtem") {
    return index > 0 ? items[loop.index - 1] : Value::Undefined("there is no previous item");
  }
  if (name == "nextitem") {
    return index + 1 < length ? items[loop.index + 1] : Value::Undefined("there is no next item");
  }
  return Value::Undefined(fmt::format("'loop' has no attribute '{}'", name));
}

int64_t SliceBound(const Value& value, int64_t fallback, int64_t length, int64_t low,
                   int64_t high) {
  if (value.Is(Kind::kNone)) return fallback;
  if (!value.IsIntegral()) {
    RequireDefined(value);
    Fail(ErrorCode::kInvalidArgument, "a slice takes integers, not {}", value.TypeName());
  }
  int64_t bound = value.AsInt();
  if (bound < 0) bound = bound < -length ? low : std::max(low, bound + length);
  return std::clamp(bound, low, high);
}

}  // namespace

std::string EscapeHtml(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '\'')
      out += "&#39;";
    else if (c == '"')
      out += "&#34;";
    else
      out.push_back(c);
  }
  return out;
}

Value BinaryOperator(std::string_view op, const Value& a, const Value& b, Budget& budget) {
  if (a.IsIntegral() && b.IsIntegral()) return IntegerOperator(op, a.AsInt(), b.AsInt());
  if (a.IsNumber() && b.IsNumber()) return FloatOperator(op, a.AsDouble(), b.AsDouble());
  if (op == "+") {
    if (a.Is(Kind::kString) && b.Is(Kind::kString)) return AddStrings(a, b, budget);
    if (IsSequence(a) && IsSequence(b) && a.Is(Kind::kList) && b.Is(Kind::kList) &&
        a.AsList().kind == b.AsList().kind) {
      return AddLists(a.AsList(), b.AsList(), budget);
    }
  }
  if (op == "*" && IsSequence(a) && b.IsIntegral()) return Repeat(a, b.AsInt(), budget);
  if (op == "*" && IsSequence(b) && a.IsIntegral()) return Repeat(b, a.AsInt(), budget);
  if (op == "%" && a.Is(Kind::kString)) return PrintfFormat(a, b, budget);
  BadOperands(op, a, b);
}

Value UnaryOperator(std::string_view op, const Value& a) {
  if (!a.IsNumber()) {
    RequireDefined(a);
    Fail(ErrorCode::kInvalidArgument, "bad operand type for unary {}: {}", op, a.TypeName());
  }
  if (a.Is(Kind::kFloat)) return Value::Float(op == "-" ? -a.AsDouble() : a.AsDouble());
  if (op == "+") return Value::Int(a.AsInt());
  return IntegerOperator("-", 0, a.AsInt());
}

bool Contains(const Value& container, const Value& item, Budget& budget) {
  if (container.Is(Kind::kString)) {
    if (!item.Is(Kind::kString)) {
      RequireDefined(item);
      Fail(ErrorCode::kInvalidArgument, "'in <string>' requires a string on the left, not {}",
           item.TypeName());
    }
    budget.ChargeBytes(container.Text().size());
    return container.Text().find(item.Text()) != std::string::npos;
  }
  if (container.Is(Kind::kDict)) return container.AsDict().Find(item, budget) != nullptr;
  if (!container.Is(Kind::kList) && !container.Is(Kind::kUndefined)) {
    Fail(ErrorCode::kInvalidArgument, "'in' needs a container on the right, not {}",
         container.TypeName());
  }
  for (const Value& candidate : Iterate(container, budget)) {
    if (Equal(candidate, item, budget)) return true;
  }
  return false;
}

Value GetAttribute(const Value& value, const std::string& name, Budget& budget) {
  RequireDefined(value);
  if (value.Is(Kind::kLoop) && name != "cycle" && name != "changed") {
    return LoopAttribute(value.AsLoop(), name);
  }
  if (value.Is(Kind::kNamespace)) {
    const Value* found = value.AsNamespace().values.Find(name);
    return found ? *found : Missing(value, name);
  }
  if (auto method = Method(value, name, budget)) return *std::move(method);
  if (value.Is(Kind::kDict)) {
    budget.Charge(1 + static_cast<int64_t>(value.AsDict().size() / 8));
    if (const Value* found = value.AsDict().Find(name)) return *found;
  }
  return Missing(value, name);
}

Value GetItem(const Value& value, const Value& key, Budget& budget) {
  RequireDefined(value);
  if (value.Is(Kind::kDict)) {
    RequireDefined(key);
    if (const Value* found = value.AsDict().Find(key, budget)) return *found;
  } else if (value.Is(Kind::kString) && key.IsIntegral()) {
    const std::string& text = value.Text();
    budget.ChargeBytes(text.size());
    int64_t index = key.AsInt();
    if (index < 0) index += static_cast<int64_t>(CountCodePoints(text));
    size_t at = 0;
    for (; index > 0 && at < text.size(); --index) at += DecodeAt(text, at).bytes;
    if (index == 0 && at < text.size()) {
      return Value::String(text.substr(at, DecodeAt(text, at).bytes), value.IsMarkup());
    }
  } else if (value.Is(Kind::kList) && value.AsList().kind <= ListKind::kRange && key.IsIntegral()) {
    const auto& items = value.AsList().items;
    const auto length = static_cast<int64_t>(items.size());
    int64_t index = key.AsInt();
    if (index < 0) index += length;
    if (index >= 0 && index < length) return items[static_cast<size_t>(index)];
  } else if (key.Is(Kind::kString) && (value.Is(Kind::kNamespace) || value.Is(Kind::kLoop))) {
    return GetAttribute(value, key.Text(), budget);
  }
  if (key.Is(Kind::kString)) {
    if (auto method = Method(value, key.Text(), budget)) return *std::move(method);
    return Missing(value, key.Text());
  }
  return Missing(value, key.Is(Kind::kInt) ? std::to_string(key.AsInt()) : key.TypeName());
}

Value Slice(const Value& value, const Value& begin, const Value& end, const Value& step,
            Budget& budget) {
  RequireDefined(value);
  const bool text = value.Is(Kind::kString);
  if (!text && !(value.Is(Kind::kList) && value.AsList().kind <= ListKind::kRange)) {
    return Value::Undefined(fmt::format("a {} cannot be sliced", value.TypeName()));
  }
  std::vector<std::string_view> pieces;
  if (text) {
    budget.Charge(static_cast<int64_t>(value.Text().size() / 2));
    pieces = SplitCodePoints(value.Text());
  }
  const auto length = static_cast<int64_t>(text ? pieces.size() : value.AsList().items.size());
  if (!step.Is(Kind::kNone) && !step.IsIntegral()) {
    Fail(ErrorCode::kInvalidArgument, "a slice takes integers, not {}", step.TypeName());
  }
  const int64_t stride = step.Is(Kind::kNone) ? 1 : step.AsInt();
  if (stride == 0) Fail(ErrorCode::kInvalidArgument, "a slice's step cannot be zero");
  const int64_t low = stride > 0 ? 0 : -1;
  const int64_t high = stride > 0 ? length : length - 1;
  const int64_t first = SliceBound(begin, stride > 0 ? low : high, length, low, high);
  const int64_t last = SliceBound(end, stride > 0 ? high : low, length, low, high);
  std::string out;
  std::vector<Value> items;
  for (int64_t i = first; stride > 0 ? i < last : i > last;) {
    budget.Charge(text ? 0 : 1);
    if (text) {
      out += pieces[static_cast<size_t>(i)];
    } else {
      items.push_back(value.AsList().items[static_cast<size_t>(i)]);
    }
    if (__builtin_add_overflow(i, stride, &i)) break;
  }
  if (text) return Value::String(std::move(out), value.IsMarkup());
  return Value::MakeList(std::move(items), value.AsList().kind);
}

}  // namespace lorikeet::jinja
