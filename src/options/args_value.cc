#include "options/args_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>

#include "core/error.h"
#include "core/suggest.h"

namespace lorikeet {
namespace {

template <class T>
constexpr bool kIsOptional = false;
template <class T>
constexpr bool kIsOptional<std::optional<T>> = true;

template <class T>
struct ValueTypeOf {
  using Type = T;
};
template <class T>
struct ValueTypeOf<std::optional<T>> {
  using Type = T;
};

std::string Lowered(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

bool IsOneOf(const std::string& text, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(), [&](const char* word) { return text == word; });
}

bool IsNull(const std::string& text) { return text == "~" || Lowered(text) == "null"; }

// `text` as it may stand in a message: one short line.
std::string Shown(const std::string& text) {
  constexpr size_t kMaxBytes = 60;
  std::string shown = text.substr(0, kMaxBytes);
  for (char& c : shown) {
    if (std::iscntrl(static_cast<unsigned char>(c)) != 0) c = ' ';
  }
  return text.size() > kMaxBytes ? shown + "..." : shown;
}

void ParseInto(bool& field, const std::string& text, const std::string& where) {
  const std::string word = Lowered(text);
  if (word == "true" || word == "false") {
    field = word == "true";
    return;
  }
  const bool yes = IsOneOf(word, {"yes", "on", "y", "1"}),
             no = IsOneOf(word, {"no", "off", "n", "0"});
  if (yes || no) {
    Fail(ErrorCode::kInvalidArgument,
         "{}: '{}' means different things to different YAML readers; write {}", where, Shown(text),
         yes ? "true" : "false");
  }
  Fail(ErrorCode::kInvalidArgument, "{}: '{}' is neither true nor false", where, Shown(text));
}

void ParseInto(double& field, const std::string& text, const std::string& where) {
  const char* begin = text.data();
  const char* end = begin + text.size();
  if (text.size() > 1 && *begin == '+' && text[1] != '-') ++begin;  // from_chars takes no plus
  double value = 0;
  const auto [stop, error] = std::from_chars(begin, end, value);
  if (error == std::errc::result_out_of_range) {
    Fail(ErrorCode::kInvalidArgument, "{}: '{}' is out of the range of a number", where,
         Shown(text));
  }
  if (error != std::errc() || stop != end) {
    Fail(ErrorCode::kInvalidArgument, "{}: '{}' is not a number; write it as 0.001 or 1e-3", where,
         Shown(text));
  }
  if (!std::isfinite(value)) {
    Fail(ErrorCode::kInvalidArgument, "{}: '{}' is not a finite number", where, Shown(text));
  }
  field = value;
}

void ParseInto(int64_t& field, const std::string& text, const std::string& where) {
  const size_t digits = text.find_first_not_of("+-");
  if (digits != std::string::npos && text[digits] == '0' && digits + 1 < text.size() &&
      std::isdigit(static_cast<unsigned char>(text[digits + 1])) != 0) {
    Fail(ErrorCode::kInvalidArgument,
         "{}: '{}' begins with 0, which some YAML readers take for octal; drop the 0", where,
         Shown(text));
  }
  const char* begin = text.data();
  const char* end = begin + text.size();
  if (text.size() > 1 && *begin == '+' && text[1] != '-') ++begin;
  const auto [stop, error] = std::from_chars(begin, end, field);
  if (error == std::errc() && stop == end && !text.empty()) return;
  double value = 0;  // 1e6 is an integer too
  const auto [stop_double, error_double] = std::from_chars(begin, end, value);
  constexpr double kExact = 9007199254740992.0;  // 2^53
  if (error_double != std::errc() || stop_double != end || value != std::floor(value)) {
    Fail(ErrorCode::kInvalidArgument, "{}: '{}' is not a whole number", where, Shown(text));
  }
  if (std::abs(value) > kExact) {
    Fail(ErrorCode::kInvalidArgument, "{}: '{}' is too large", where, Shown(text));
  }
  field = static_cast<int64_t>(value);
}

void ParseInto(int& field, const std::string& text, const std::string& where) {
  int64_t value = 0;
  ParseInto(value, text, where);
  if (value > std::numeric_limits<int>::max() || value < std::numeric_limits<int>::min()) {
    Fail(ErrorCode::kInvalidArgument, "{}: '{}' is too large", where, Shown(text));
  }
  field = static_cast<int>(value);
}

void ParseInto(std::string& field, const std::string& text, const std::string& /*where*/) {
  field = text;
}

void CheckChoice(const Option& option, const std::string& value, const std::string& where) {
  const auto& choices = option.traits.choices;
  if (choices.empty() || std::find(choices.begin(), choices.end(), value) != choices.end()) return;
  Fail(ErrorCode::kInvalidArgument, "{}: '{}' is not one of {}{}", where, Shown(value),
       fmt::join(choices, ", "), DidYouMean(value, choices));
}

template <class T>
void CheckRange(const Option& option, const T& value, const std::string& where) {
  if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
    const OptionTraits& t = option.traits;
    const auto number = static_cast<double>(value);
    if (t.min && number < *t.min) {
      Fail(ErrorCode::kInvalidArgument, "{}: {} is too small; it must be at least {}", where, value,
           *t.min);
    }
    if (t.above && number <= *t.above) {
      Fail(ErrorCode::kInvalidArgument, "{}: {} is too small; it must be above {}", where, value,
           *t.above);
    }
    if (t.max && number > *t.max) {
      Fail(ErrorCode::kInvalidArgument, "{}: {} is too large; it must be at most {}", where, value,
           *t.max);
    }
  } else if constexpr (std::is_same_v<T, std::string>) {
    CheckChoice(option, value, where);
  }
}

std::optional<double> NumberOf(const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || text.empty()) return std::nullopt;
  return value;
}

// Paths: "~" and "~/x" with the user's home folder in place of the "~", as shells write them.
std::string WithHome(const Option& option, const std::string& text, const std::string& where) {
  if (!IsPath(option) || text.empty() || text[0] != '~') return text;
  if (text.size() > 1 && text[1] != '/') {
    Fail(ErrorCode::kInvalidArgument,
         "{}: '{}': another user's home is not looked up; write the whole path (a file of this "
         "folder is ./{})",
         where, Shown(text), Shown(text));
  }
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') {
    Fail(ErrorCode::kInvalidArgument,
         "{}: '{}': the home folder is not known, for HOME is not set; write the whole path", where,
         Shown(text));
  }
  return home + text.substr(1);
}

std::vector<std::string> SplitAtCommas(const std::string& text, const std::string& where) {
  std::vector<std::string> items;
  if (text.find_first_not_of(" \t") == std::string::npos) return items;
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    std::string item = text.substr(begin, comma - begin);
    item.erase(0, item.find_first_not_of(" \t"));
    item.erase(item.find_last_not_of(" \t") + 1);
    if (item.empty()) {
      Fail(ErrorCode::kInvalidArgument, "{}: '{}' has an empty item between commas", where,
           Shown(text));
    }
    items.push_back(std::move(item));
    begin = comma + 1;
  }
  return items;
}

// Shortest text that reads back as the same double. Always with a point before an exponent:
// YAML 1.1 readers take 1e-05 for a string.
std::string DoubleText(double value) {
  std::string text = fmt::format("{}", value);
  const size_t e = text.find('e');
  if (e != std::string::npos && text.find('.') == std::string::npos) text.insert(e, ".0");
  return text;
}

std::string StringAsYaml(const std::string& text) {
  const auto plain_char = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("_./@+-").find(c) != std::string::npos;
  };
  const bool plain_start =
      !text.empty() &&
      (std::isalpha(static_cast<unsigned char>(text[0])) != 0 || text[0] == '_' || text[0] == '/');
  const bool is_word =
      IsOneOf(Lowered(text), {"true", "false", "yes", "no", "on", "off", "y", "n", "null"});
  if (plain_start && !is_word && std::all_of(text.begin(), text.end(), plain_char)) return text;
  // A JSON string is a YAML string.
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string AsYaml(bool value) { return value ? "true" : "false"; }
std::string AsYaml(int value) { return fmt::format("{}", value); }
std::string AsYaml(int64_t value) { return fmt::format("{}", value); }
std::string AsYaml(double value) { return DoubleText(value); }
std::string AsYaml(const std::string& value) { return StringAsYaml(value); }
std::string AsYaml(const std::vector<std::string>& items) {
  std::vector<std::string> quoted(items.size());
  std::transform(items.begin(), items.end(), quoted.begin(), StringAsYaml);
  return fmt::format("[{}]", fmt::join(quoted, ", "));
}
template <class T>
std::string AsYaml(const std::optional<T>& value) {
  return value ? AsYaml(*value) : "null";
}

template <class T>
OrderedJson AsJson(const T& value) {
  if constexpr (kIsOptional<T>) {
    return value ? OrderedJson(*value) : OrderedJson(nullptr);
  } else {
    return OrderedJson(value);
  }
}

}  // namespace

void SetFromText(const Option& option, const std::string& text, const std::string& where) {
  std::visit(
      [&]<class T>(T* field) {
        if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          const bool one = option.traits.whole && !text.empty();
          SetFromItems(option, one ? T{text} : SplitAtCommas(text, where), where);
        } else {
          if constexpr (kIsOptional<T>) {
            const auto& none = option.traits.none;
            if (IsNull(text) || std::find(none.begin(), none.end(), text) != none.end()) {
              field->reset();
              return;
            }
          }
          typename ValueTypeOf<T>::Type value{};
          ParseInto(value, text, where);
          if constexpr (std::is_same_v<decltype(value), std::string>) {
            value = WithHome(option, value, where);
          }
          CheckRange(option, value, where);
          *field = value;
        }
      },
      option.field);
}

void SetFromItems(const Option& option, const std::vector<std::string>& items,
                  const std::string& where) {
  for (const std::string& item : items) CheckChoice(option, item, where);
  auto& field = *std::get<std::vector<std::string>*>(option.field);
  field.clear();
  for (const std::string& item : items) field.push_back(WithHome(option, item, where));
}

bool IsBool(const Option& option) {
  return std::holds_alternative<bool*>(option.field) ||
         std::holds_alternative<std::optional<bool>*>(option.field);
}

bool IsList(const Option& option) {
  return std::holds_alternative<std::vector<std::string>*>(option.field);
}

bool IsOptional(const Option& option) {
  return std::visit([]<class T>(T*) { return kIsOptional<T>; }, option.field);
}

bool IsText(const Option& option) {
  return std::holds_alternative<std::string*>(option.field) ||
         std::holds_alternative<std::optional<std::string>*>(option.field);
}

bool IsPath(const Option& option) {
  return IsOneOf(option.traits.metavar, {"FILE", "FILES", "DIR", "PATH"});
}

bool IsNeutralValue(const ForeignKey& foreign, const std::string& text) {
  if (IsNull(text)) return true;
  const std::optional<double> number = NumberOf(text);
  return std::any_of(
      foreign.neutral.begin(), foreign.neutral.end(), [&](const std::string& neutral) {
        return Lowered(neutral) == Lowered(text) || (number && NumberOf(neutral) == number);
      });
}

bool IsEmpty(const Option& option) {
  return std::visit(
      []<class T>(T* field) {
        if constexpr (kIsOptional<T>)
          return !field->has_value();
        else if constexpr (std::is_arithmetic_v<T>)
          return false;
        else
          return field->empty();
      },
      option.field);
}

std::string FieldAsYaml(const OptionField& field) {
  return std::visit([](const auto* value) { return AsYaml(*value); }, field);
}

OrderedJson FieldAsJson(const OptionField& field) {
  return std::visit([](const auto* value) { return AsJson(*value); }, field);
}

std::string MetavarOf(const Option& option) {
  if (!option.traits.metavar.empty()) return option.traits.metavar;
  if (!option.traits.choices.empty())
    return fmt::format("{}", fmt::join(option.traits.choices, "|"));
  return std::visit(
      []<class T>(T*) {
        using Value = typename ValueTypeOf<T>::Type;
        if constexpr (std::is_same_v<Value, bool>)
          return "";
        else if constexpr (std::is_integral_v<Value>)
          return "INT";
        else if constexpr (std::is_same_v<Value, double>)
          return "NUMBER";
        else if constexpr (std::is_same_v<Value, std::string>)
          return "TEXT";
        else
          return "LIST";
      },
      option.field);
}

}  // namespace lorikeet
