// Methods of str, dict, list and loop. Methods that would change a value are refused, as in the
// sandbox of the Python engine.
#include <algorithm>
#include <array>

#include "chat/jinja/arguments.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/text.h"
#include "core/error.h"

namespace lorikeet::jinja {
namespace {

using StringMethod = Value (*)(const Value& self, const CallArguments& call, Budget& budget);

// A result that stays Markup when `self` is.
Value Like(const Value& self, std::string text) {
  return Value::String(std::move(text), self.IsMarkup());
}

template <bool kLeft, bool kRight>
Value StripMethod(const Value& self, const CallArguments& call, Budget&) {
  const BoundArguments args("strip", call, {"chars"});
  return Like(self, std::string(Strip(self.Text(), args.OptionalText(0), kLeft, kRight)));
}

Value Pieces(const Value& self, const std::vector<std::string_view>& pieces, Budget& budget) {
  budget.Charge(static_cast<int64_t>(pieces.size()));
  std::vector<Value> items;
  items.reserve(pieces.size());
  for (std::string_view piece : pieces) items.push_back(Like(self, std::string(piece)));
  return Value::MakeList(std::move(items));
}

template <auto kSplit>
Value SplitMethod(const Value& self, const CallArguments& call, Budget& budget) {
  const BoundArguments args("split", call, {"sep", "maxsplit"});
  const auto separator = args.OptionalText(0);
  if (separator && separator->empty()) {
    Fail(ErrorCode::kInvalidArgument, "split(): empty separator");
  }
  budget.Charge(static_cast<int64_t>(self.Text().size() / 2));
  return Pieces(self, kSplit(self.Text(), separator, args.IntOr(1, -1)), budget);
}

Value SplitLinesMethod(const Value& self, const CallArguments& call, Budget& budget) {
  const BoundArguments args("splitlines", call, {"keepends"});
  budget.Charge(static_cast<int64_t>(self.Text().size() / 2));
  return Pieces(self, SplitLines(self.Text(), args.TruthOr(0, false)), budget);
}

template <bool kFromRight>
Value PartitionMethod(const Value& self, const CallArguments& call, Budget&) {
  const BoundArguments args("partition", call, {"sep"}, 1);
  const std::string_view text = self.Text();
  const std::string_view separator = args.Text(0);
  if (separator.empty()) Fail(ErrorCode::kInvalidArgument, "partition(): empty separator");
  const size_t at = kFromRight ? text.rfind(separator) : text.find(separator);
  std::array<std::string_view, 3> parts;
  if (at == std::string_view::npos) {
    parts[kFromRight ? 2 : 0] = text;
  } else {
    parts = {text.substr(0, at), separator, text.substr(at + separator.size())};
  }
  std::vector<Value> items;
  for (std::string_view part : parts) items.push_back(Like(self, std::string(part)));
  return Value::MakeList(std::move(items), ListKind::kTuple);
}

template <bool kStart>
Value AffixMethod(const Value& self, const CallArguments& call, Budget& budget) {
  const BoundArguments args(kStart ? "startswith" : "endswith", call, {"prefix"}, 1);
  const std::string_view text = self.Text();
  auto has = [&](std::string_view affix) {
    return kStart ? text.starts_with(affix) : text.ends_with(affix);
  };
  if (!args[0].IsList(ListKind::kTuple)) return Value::Bool(has(args.Text(0)));
  for (const Value& option : Iterate(args[0], budget)) {
    if (option.Is(Kind::kString) && has(option.Text())) return Value::Bool(true);
  }
  return Value::Bool(false);
}

template <auto kMap>
Value MapMethod(const Value& self, const CallArguments& call, Budget& budget) {
  const BoundArguments args("case method", call, {});
  budget.Charge(static_cast<int64_t>(self.Text().size() / 8));
  return Like(self, kMap(self.Text()));
}

// find, rfind, index, rindex, in code points.
template <bool kFromRight, bool kMustFind>
Value FindMethod(const Value& self, const CallArguments& call, Budget& budget) {
  const BoundArguments args("find", call, {"sub", "start"}, 1);
  const std::string_view text = self.Text();
  budget.ChargeBytes(text.size());
  int64_t start = args.IntOr(1, 0);
  if (start < 0) start = std::max<int64_t>(0, start + static_cast<int64_t>(CountCodePoints(text)));
  size_t from = 0;
  for (int64_t i = 0; i < start && from < text.size(); ++i) from += DecodeAt(text, from).bytes;
  const std::string_view rest = text.substr(from);
  const size_t at = kFromRight ? rest.rfind(args.Text(0)) : rest.find(args.Text(0));
  if (at != std::string_view::npos) {
    return Value::Int(static_cast<int64_t>(CountCodePoints(text.substr(0, from + at))));
  }
  if (kMustFind) Fail(ErrorCode::kInvalidArgument, "index(): substring not found");
  return Value::Int(-1);
}

Value CountMethod(const Value& self, const CallArguments& call, Budget& budget) {
  const BoundArguments args("count", call, {"sub"}, 1);
  budget.ChargeBytes(self.Text().size());
  const std::string_view what = args.Text(0);
  if (what.empty()) return Value::Int(static_cast<int64_t>(CountCodePoints(self.Text())) + 1);
  int64_t count = 0;
  for (size_t at = 0; (at = self.Text().find(what, at)) != std::string::npos; at += what.size()) {
    ++count;
  }
  return Value::Int(count);
}

Value ReplaceMethod(const Value& self, const CallArguments& call, Budget& budget) {
  const BoundArguments args("replace", call, {"old", "new", "count"}, 2);
  std::string text =
      Replace(self.Text(), args.Text(0), args.Text(1), args.IntOr(2, -1), Budget::kMaxString);
  budget.ChargeBytes(self.Text().size() + text.size());
  return Like(self, std::move(text));
}

Value JoinMethod(const Value& self, const CallArguments& call, Budget& budget) {
  const BoundArguments args("join", call, {"iterable"}, 1);
  std::string out;
  bool first = true;
  for (const Value& item : Iterate(args[0], budget)) {
    if (!item.Is(Kind::kString)) {
      Fail(ErrorCode::kInvalidArgument, "join(): expected str, found {}", item.TypeName());
    }
    if (!first) out += self.Text();
    first = false;
    out += item.Text();
    budget.ChargeBytes(item.Text().size() + self.Text().size());
    if (out.size() > Budget::kMaxString) budget.ChargeBytes(out.size());
  }
  return Like(self, std::move(out));
}

template <bool kPrefix>
Value RemoveAffixMethod(const Value& self, const CallArguments& call, Budget&) {
  const BoundArguments args("removeprefix", call, {"affix"}, 1);
  std::string_view text = self.Text();
  const std::string_view affix = args.Text(0);
  if (kPrefix && text.starts_with(affix)) text.remove_prefix(affix.size());
  if (!kPrefix && text.ends_with(affix)) text.remove_suffix(affix.size());
  return Like(self, std::string(text));
}

Value FormatMethod(const Value& self, const CallArguments& call, Budget& budget) {
  return BraceFormat(self.Text(), call, budget);
}

struct NamedMethod {
  std::string_view name;
  StringMethod call;
};
constexpr NamedMethod kStringMethods[] = {
    {"strip", StripMethod<true, true>},
    {"lstrip", StripMethod<true, false>},
    {"rstrip", StripMethod<false, true>},
    {"split", SplitMethod<SplitText>},
    {"rsplit", SplitMethod<SplitTextRight>},
    {"splitlines", SplitLinesMethod},
    {"partition", PartitionMethod<false>},
    {"rpartition", PartitionMethod<true>},
    {"startswith", AffixMethod<true>},
    {"endswith", AffixMethod<false>},
    {"removeprefix", RemoveAffixMethod<true>},
    {"removesuffix", RemoveAffixMethod<false>},
    {"upper", MapMethod<Upper>},
    {"lower", MapMethod<Lower>},
    {"capitalize", MapMethod<Capitalize>},
    {"title", MapMethod<TitleMethod>},
    {"find", FindMethod<false, false>},
    {"rfind", FindMethod<true, false>},
    {"index", FindMethod<false, true>},
    {"rindex", FindMethod<true, true>},
    {"count", CountMethod},
    {"replace", ReplaceMethod},
    {"join", JoinMethod},
    {"format", FormatMethod},
};

std::optional<Value> OfString(const Value& self, const std::string& name, Budget& budget) {
  for (const NamedMethod& method : kStringMethods) {
    if (method.name == name) {
      return Value::Call(name, [self, call = method.call, &budget](CallArguments& arguments) {
        return call(self, arguments, budget);
      });
    }
  }
  static constexpr std::string_view kClasses[] = {"isalpha",   "isdigit", "isalnum", "isnumeric",
                                                  "isdecimal", "isspace", "isupper", "islower"};
  if (std::find(std::begin(kClasses), std::end(kClasses), name) == std::end(kClasses)) return {};
  return Value::Call(name, [self, which = name.substr(2), &budget](CallArguments&) {
    budget.ChargeBytes(self.Text().size());
    return Value::Bool(IsClass(self.Text(), which));
  });
}

Value Refused(const Value& self, const std::string& name) {
  return Value::Undefined(fmt::format(
      "access to attribute '{}' of '{}' object is unsafe: a template may not change its values",
      name, self.TypeName()));
}

Value DictGet(const Value& self, const CallArguments& call, Budget& budget) {
  const BoundArguments args("get", call, {"key", "default"}, 1);
  const Value* found = self.AsDict().Find(args[0], budget);
  return found ? *found : args.Has(1) ? args[1] : Value::None();
}

Value DictView(const Value& self, const std::string& name, Budget& budget) {
  std::vector<Value> items;
  budget.Charge(static_cast<int64_t>(self.AsDict().size()) * 2);
  for (const auto& [key, value] : self.AsDict().entries()) {
    if (name == "keys") items.push_back(key);
    if (name == "values") items.push_back(value);
    if (name == "items") items.push_back(Value::MakeList({key, value}, ListKind::kTuple));
  }
  return Value::MakeList(std::move(items), ListKind::kView);
}

std::optional<Value> OfDict(const Value& self, const std::string& name, Budget& budget) {
  const int depth = self.Depth() + 1;
  if (name == "get") {
    return Value::Call(
        name, [self, &budget](CallArguments& call) { return DictGet(self, call, budget); }, depth);
  }
  if (name == "items" || name == "keys" || name == "values") {
    return Value::Call(
        name,
        [self, name, &budget](CallArguments& call) {
          const BoundArguments none(name, call, {});
          return DictView(self, name, budget);
        },
        depth);
  }
  if (name == "copy")
    return Value::Call(
        name, [self](CallArguments&) { return self; }, depth);
  for (std::string_view refused : {"pop", "update", "clear", "setdefault", "popitem"}) {
    if (name == refused) return Refused(self, name);
  }
  return {};
}

std::optional<Value> OfList(const Value& self, const std::string& name, Budget& budget) {
  const int depth = self.Depth() + 1;
  const bool list = self.IsList(ListKind::kList);
  if (name == "index" || name == "count") {
    auto search = [self, name, &budget](CallArguments& call) {
      const BoundArguments args(name, call, {"value"}, 1);
      int64_t count = 0;
      for (size_t i = 0; i < self.AsList().items.size(); ++i) {
        if (!Equal(self.AsList().items[i], args[0], budget)) continue;
        if (name == "index") return Value::Int(static_cast<int64_t>(i));
        ++count;
      }
      if (name == "index")
        Fail(ErrorCode::kInvalidArgument, "index(): the value is not in the list");
      return Value::Int(count);
    };
    return Value::Call(name, std::move(search), depth);
  }
  if (list && name == "copy") {
    return Value::Call(
        name, [self](CallArguments&) { return self; }, depth);
  }
  for (std::string_view refused :
       {"append", "extend", "insert", "pop", "remove", "reverse", "sort", "clear"}) {
    if (list && name == refused) return Refused(self, name);
  }
  return {};
}

std::optional<Value> OfLoop(const Value& self, const std::string& name, Budget& budget) {
  if (name == "cycle") {
    return Value::Call(
        name,
        [self](CallArguments& call) {
          if (call.positional.empty()) Fail(ErrorCode::kInvalidArgument, "cycle() needs values");
          return call.positional[self.AsLoop().index % call.positional.size()];
        },
        self.Depth() + 1);
  }
  if (name != "changed") return {};
  return Value::Call(
      name,
      [self, &budget](CallArguments& call) {
        LoopState& loop = self.AsLoop();
        Value now = Value::MakeList(call.positional, ListKind::kTuple);
        const bool changed = !loop.has_changed || !Equal(loop.last_changed, now, budget);
        loop.last_changed = std::move(now);
        loop.has_changed = true;
        return Value::Bool(changed);
      },
      self.Depth() + 1);
}

}  // namespace

std::optional<Value> Method(const Value& self, const std::string& name, Budget& budget) {
  switch (self.kind()) {
    case Kind::kString:
      return OfString(self, name, budget);
    case Kind::kDict:
      return OfDict(self, name, budget);
    case Kind::kList:
      if (self.AsList().kind <= ListKind::kRange) return OfList(self, name, budget);
      return {};
    case Kind::kLoop:
      return OfLoop(self, name, budget);
    default:
      return {};
  }
}

}  // namespace lorikeet::jinja
