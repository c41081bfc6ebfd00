// The two ways a template formats text: "%d" % value and "{}".format(value).
#include <algorithm>
#include <cmath>

#include "chat/jinja/operators.h"
#include "chat/jinja/text.h"
#include "core/error.h"

namespace lorikeet::jinja {
namespace {

constexpr int64_t kMaxWidth = 10'000;

struct Directive {
  bool left = false, plus = false, space = false, zero = false, alternate = false;
  int64_t width = 0;
  int64_t precision = -1;
  char type = 0;
};

int64_t TakeNumber(std::string_view text, size_t& at) {
  int64_t number = 0;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
    number = std::min(number * 10 + (text[at++] - '0'), kMaxWidth + 1);
  }
  if (number > kMaxWidth) {
    Fail(ErrorCode::kUnsupported, "a width or precision above {} in a format", kMaxWidth);
  }
  return number;
}

Directive TakeDirective(std::string_view text, size_t& at) {
  Directive out;
  for (; at < text.size(); ++at) {
    if (text[at] == '-')
      out.left = true;
    else if (text[at] == '+')
      out.plus = true;
    else if (text[at] == ' ')
      out.space = true;
    else if (text[at] == '0')
      out.zero = true;
    else if (text[at] == '#')
      out.alternate = true;
    else
      break;
  }
  out.width = TakeNumber(text, at);
  if (at < text.size() && text[at] == '.') out.precision = TakeNumber(text, ++at);
  if (at >= text.size())
    Fail(ErrorCode::kInvalidArgument, "incomplete format '{}'", text.substr(0, 60));
  out.type = text[at++];
  return out;
}

std::string Pad(const Directive& directive, std::string sign, std::string body, bool number) {
  const auto size = static_cast<int64_t>(CountCodePoints(body) + sign.size());
  const auto missing = static_cast<size_t>(std::max<int64_t>(0, directive.width - size));
  if (directive.left) return sign + body + std::string(missing, ' ');
  if (number && directive.zero) return sign + std::string(missing, '0') + body;
  return std::string(missing, ' ') + sign + body;
}

std::string SignOf(const Directive& directive, bool negative) {
  return negative ? "-" : directive.plus ? "+" : directive.space ? " " : "";
}

std::string FormatInteger(const Directive& directive, const Value& value) {
  if (!value.IsNumber() || (value.Is(Kind::kFloat) && directive.type != 'd' &&
                            directive.type != 'i' && directive.type != 'u')) {
    Fail(ErrorCode::kInvalidArgument, "%{} format: a number is required, not {}", directive.type,
         value.TypeName());
  }
  int64_t number = 0;
  if (value.Is(Kind::kFloat)) {
    if (!(std::fabs(value.AsDouble()) < 9.2e18)) {
      Fail(ErrorCode::kUnsupported, "a float beyond 64 bits in a %d format");
    }
    number = static_cast<int64_t>(value.AsDouble());
  } else {
    number = value.AsInt();
  }
  const uint64_t magnitude =
      number < 0 ? uint64_t{0} - static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
  std::string digits = directive.type == 'x'   ? fmt::format("{:x}", magnitude)
                       : directive.type == 'X' ? fmt::format("{:X}", magnitude)
                       : directive.type == 'o' ? fmt::format("{:o}", magnitude)
                                               : fmt::format("{}", magnitude);
  if (static_cast<int64_t>(digits.size()) < directive.precision) {
    digits.insert(0, static_cast<size_t>(directive.precision) - digits.size(), '0');
  }
  std::string sign = SignOf(directive, number < 0);
  if (directive.alternate && digits != "0") {
    sign += directive.type == 'x'   ? "0x"
            : directive.type == 'X' ? "0X"
            : directive.type == 'o' ? "0o"
                                    : "";
  }
  return Pad(directive, sign, digits, true);
}

std::string FormatFloat(const Directive& directive, const Value& value) {
  if (!value.IsNumber()) {
    Fail(ErrorCode::kInvalidArgument, "%{} format: a number is required, not {}", directive.type,
         value.TypeName());
  }
  const double number = std::fabs(value.AsDouble());
  const int precision = directive.precision < 0 ? 6 : static_cast<int>(directive.precision);
  std::string body;
  switch (directive.type) {
    case 'e':
      body = fmt::format("{:.{}e}", number, precision);
      break;
    case 'E':
      body = fmt::format("{:.{}E}", number, precision);
      break;
    case 'g':
      body = fmt::format("{:.{}g}", number, precision);
      break;
    case 'G':
      body = fmt::format("{:.{}G}", number, precision);
      break;
    default:
      body = fmt::format("{:.{}f}", number, precision);
  }
  return Pad(directive, SignOf(directive, std::signbit(value.AsDouble())), body, true);
}

std::string FormatText(const Directive& directive, std::string text) {
  if (directive.precision >= 0) {
    const auto pieces = SplitCodePoints(text);
    if (static_cast<size_t>(directive.precision) < pieces.size()) {
      text.resize(static_cast<size_t>(pieces[static_cast<size_t>(directive.precision)].data() -
                                      text.data()));
    }
  }
  return Pad(directive, "", std::move(text), false);
}

std::string FormatOne(const Directive& directive, const Value& value, bool markup, Budget& budget) {
  switch (directive.type) {
    case 's': {
      std::string text = Str(value, budget);
      return FormatText(directive,
                        markup && !value.IsMarkup() ? EscapeHtml(text) : std::move(text));
    }
    case 'r':
      return FormatText(directive, ReprOf(value, budget));
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
      return FormatInteger(directive, value);
    case 'f':
    case 'F':
    case 'e':
    case 'E':
    case 'g':
    case 'G':
      return FormatFloat(directive, value);
    case 'c':
      if (value.Is(Kind::kString)) return FormatText(directive, value.Text());
      [[fallthrough]];
    default:
      Fail(ErrorCode::kUnsupported, "the format %{} is not supported for {}", directive.type,
           value.TypeName());
  }
}

}  // namespace

Value PrintfFormat(const Value& text, const Value& arguments, Budget& budget) {
  const std::string& format = text.Text();
  const bool tuple = arguments.IsList(ListKind::kTuple);
  const std::vector<Value> values =
      tuple ? arguments.AsList().items : std::vector<Value>{arguments};
  size_t next = 0;
  std::string out;
  for (size_t at = 0; at < format.size();) {
    if (format[at] != '%') {
      out.push_back(format[at++]);
      continue;
    }
    const Value* value = nullptr;
    if (++at < format.size() && format[at] == '(') {  // %(name)s
      const size_t close = format.find(')', at);
      if (close == std::string::npos || !arguments.Is(Kind::kDict)) {
        Fail(ErrorCode::kInvalidArgument, "the format '%(' needs a name and a dict");
      }
      const std::string name = format.substr(at + 1, close - at - 1);
      value = arguments.AsDict().Find(name);
      if (value == nullptr) Fail(ErrorCode::kInvalidArgument, "format: no value for '{}'", name);
      at = close + 1;
    }
    const Directive directive = TakeDirective(format, at);
    if (directive.type == '%') {
      out.push_back('%');
      continue;
    }
    if (value == nullptr) {
      if (next >= values.size()) {
        Fail(ErrorCode::kInvalidArgument, "not enough arguments for the format string");
      }
      value = &values[next++];
    }
    out += FormatOne(directive, *value, text.IsMarkup(), budget);
    budget.ChargeBytes(static_cast<size_t>(directive.width + directive.precision + 1));
    if (out.size() > Budget::kMaxString) budget.ChargeBytes(out.size());
  }
  if (next < values.size() && !arguments.Is(Kind::kDict)) {
    Fail(ErrorCode::kInvalidArgument, "not all arguments are used by the format string");
  }
  budget.ChargeBytes(format.size() + out.size());
  return Value::String(std::move(out), text.IsMarkup());
}

Value BraceFormat(const std::string& text, const CallArguments& arguments, Budget& budget) {
  std::string out;
  size_t next = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c != '{' && c != '}') {
      out.push_back(c);
      continue;
    }
    if (at + 1 < text.size() && text[at + 1] == c) {
      out.push_back(c);
      ++at;
      continue;
    }
    const size_t close = text.find('}', at);
    if (c == '}' || close == std::string::npos) {
      Fail(ErrorCode::kInvalidArgument, "format(): a single '{}' in the text", c);
    }
    std::string field = text.substr(at + 1, close - at - 1);
    at = close;
    bool repr = false;
    if (field.ends_with("!r") || field.ends_with("!s")) {
      repr = field.back() == 'r';
      field.resize(field.size() - 2);
    }
    const Value* value = nullptr;
    if (field.empty() ||
        std::all_of(field.begin(), field.end(), [](char d) { return d >= '0' && d <= '9'; })) {
      size_t unused = 0;
      const auto index = field.empty() ? next++ : static_cast<size_t>(TakeNumber(field, unused));
      if (index < arguments.positional.size()) value = &arguments.positional[index];
    } else {
      for (const auto& [name, named] : arguments.named) {
        if (name == field) value = &named;
      }
    }
    if (value == nullptr) {
      Fail(ErrorCode::kUnsupported,
           "format(): the field '{{{}}}' has no argument or is more than {{}}, {{0}} or {{name}}",
           field.substr(0, 60));
    }
    out += repr ? ReprOf(*value, budget) : Str(*value, budget);
    if (out.size() > Budget::kMaxString) budget.ChargeBytes(out.size());
  }
  budget.ChargeBytes(text.size() + out.size());
  return Value::String(std::move(out));
}

}  // namespace lorikeet::jinja
