// The functions a template can call by name.
#include <ctime>

#include "chat/jinja/arguments.h"
#include "chat/jinja/renderer.h"
#include "core/error.h"

namespace lorikeet::jinja {
namespace {

Value Range(const CallArguments& call, Budget& budget) {
  const BoundArguments args("range", call, {"start", "stop", "step"}, 1);
  const int64_t start = args.Has(1) ? args.IntOr(0, 0) : 0;
  const int64_t stop = args.Has(1) ? args.IntOr(1, 0) : args.IntOr(0, 0);
  const int64_t step = args.IntOr(2, 1);
  if (step == 0) Fail(ErrorCode::kInvalidArgument, "range(): the step must not be zero");
  constexpr int64_t kMaxRange = 100'000;  // Jinja's sandbox has the same limit
  std::vector<Value> items;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (static_cast<int64_t>(items.size()) >= kMaxRange) {
      Fail(ErrorCode::kInvalidArgument, "range() is longer than {} items", kMaxRange);
    }
    budget.Charge(1);
    items.push_back(Value::Int(i));
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return Value::MakeList(std::move(items), ListKind::kRange);
}

[[noreturn]] void RaiseException(const CallArguments& call, Budget& budget) {
  const BoundArguments args("raise_exception", call, {"message"}, 1);
  std::string message = Str(args[0], budget);
  for (char& c : message) {
    if (c == '\n' || c == '\r') c = ' ';  // an Error is one line
  }
  Fail(ErrorCode::kInvalidArgument, "the template refuses the conversation: {}", message);
}

Value Joiner(const CallArguments& call) {
  const BoundArguments args("joiner", call, {"sep"});
  const Value separator = args.Has(0) ? args[0] : Value::String(", ");
  auto first = std::make_shared<bool>(true);
  return Value::Call(
      "joiner",
      [separator, first](CallArguments&) {
        return std::exchange(*first, false) ? Value::String("") : separator;
      },
      separator.Depth() + 1);
}

}  // namespace

Value Renderer::Global(const std::string& name) {
  auto function = [&name](auto body) {
    return Value::Call(name, [body](CallArguments& call) -> Value { return body(call); });
  };
  if (name == "namespace") {
    return function([this](const CallArguments& call) { return MakeNamespace(call); });
  }
  if (name == "range") {
    return function([this](const CallArguments& call) { return Range(call, budget_); });
  }
  if (name == "dict") {
    return function([this](const CallArguments& call) { return MakeDictFrom(call, "dict"); });
  }
  if (name == "raise_exception") {
    return function([this](const CallArguments& call) -> Value { RaiseException(call, budget_); });
  }
  if (name == "strftime_now") {
    return function([this](const CallArguments& call) { return StrftimeNow(call); });
  }
  if (name == "joiner") return function([](const CallArguments& call) { return Joiner(call); });
  if (name == "cycler" || name == "lipsum") {
    Fail(ErrorCode::kUnsupported, "the function {}() is not supported", name);
  }
  return Value::Undefined(fmt::format("'{}' is undefined", name));
}

Value Renderer::MakeDictFrom(const CallArguments& call, const char* what) {
  Dict dict;
  if (call.positional.size() > 1) {
    Fail(ErrorCode::kInvalidArgument, "{}() takes one dict at most", what);
  }
  for (const Value& source : call.positional) {
    if (source.Is(Kind::kDict)) {
      for (const auto& [key, value] : source.AsDict().entries()) dict.Set(key, value, budget_);
      continue;
    }
    for (const Value& pair : Iterate(source, budget_)) {
      const std::vector<Value> parts = Iterate(pair, budget_);
      if (parts.size() != 2) {
        Fail(ErrorCode::kInvalidArgument, "{}() needs a dict or pairs of key and value", what);
      }
      dict.Set(parts[0], parts[1], budget_);
    }
  }
  for (const auto& [key, value] : call.named) dict.Set(Value::String(key), value, budget_);
  return Value::MakeDict(std::move(dict));
}

Value Renderer::MakeNamespace(const CallArguments& call) {
  const Value initial = MakeDictFrom(call, "namespace");
  for (const auto& [key, value] : initial.AsDict().entries()) {
    if (key.Is(Kind::kString) && key.Text().starts_with('_')) {
      Fail(ErrorCode::kInvalidArgument,
           "a namespace cannot store '{}': it begins with an underscore", key.Text());
    }
  }
  namespaces_.push_back(std::make_unique<Namespace>());
  namespaces_.back()->values = initial.AsDict();
  return Value::Of(namespaces_.back().get());
}

Value Renderer::StrftimeNow(const CallArguments& call) const {
  const BoundArguments args("strftime_now", call, {"format"}, 1);
  const std::string format(args.Text(0));
  std::tm when{};
  if (now_.empty()) {
    const std::time_t seconds = std::time(nullptr);
    localtime_r(&seconds, &when);
  } else {
    const char* rest = strptime(now_.c_str(), "%Y-%m-%d", &when);
    if (rest != nullptr && *rest != '\0') rest = strptime(rest, " %H:%M:%S", &when);
    if (rest == nullptr || *rest != '\0') {
      Fail(ErrorCode::kInvalidArgument, "the date '{}' is not YYYY-MM-DD or YYYY-MM-DD HH:MM:SS",
           now_);
    }
    mktime(&when);  // the day of the week
  }
  if (format.empty()) return Value::String("");
  std::string out(format.size() * 16 + 64, '\0');
  out.resize(std::strftime(out.data(), out.size(), format.c_str(), &when));
  return Value::String(std::move(out));
}

}  // namespace lorikeet::jinja
