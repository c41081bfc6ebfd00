// Filters that read or build a sequence.
#include <algorithm>

#include "chat/jinja/arguments.h"
#include "chat/jinja/filters.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/text.h"
#include "core/error.h"

namespace lorikeet::jinja {
namespace {

// The value at a dotted path ("function.name", "0.text"); an integer is an index.
Value AttributePath(Value item, const Value& path, const Value* fallback, Budget& budget) {
  std::vector<Value> parts;
  if (path.Is(Kind::kString)) {
    for (std::string_view part : SplitText(path.Text(), ".", -1)) {
      const bool index = !part.empty() && part.size() < 18 &&
                         part.find_first_not_of("0123456789") == std::string_view::npos;
      parts.push_back(index ? Value::Int(std::stoll(std::string(part)))
                            : Value::String(std::string(part)));
    }
  } else {
    parts.push_back(path);
  }
  for (const Value& part : parts) {
    item = GetItem(item, part, budget);
    if (fallback != nullptr && item.Is(Kind::kUndefined)) item = *fallback;
  }
  return item;
}

Value SortKey(const Value& item, const Value* path, bool case_sensitive, Budget& budget) {
  Value key = path ? AttributePath(item, *path, nullptr, budget) : item;
  if (case_sensitive || !key.Is(Kind::kString)) return key;
  budget.ChargeBytes(key.Text().size());
  return Value::String(Lower(key.Text()));
}

// Sorts by key, stable; in reverse too, as Python's sorted(reverse=True).
std::vector<Value> SortedBy(std::vector<std::pair<Value, Value>> keyed, bool reverse,
                            Budget& budget) {
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    const int order = Compare(a.first, b.first, "<", budget);
    return reverse ? order > 0 : order < 0;
  });
  std::vector<Value> items;
  for (auto& entry : keyed) items.push_back(std::move(entry.second));
  return items;
}

Value SortFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  const BoundArguments args("sort", call, {"reverse", "case_sensitive", "attribute"});
  const Value* path = args.HasNonNone(2) ? &args[2] : nullptr;
  if (path && path->Is(Kind::kString) && path->Text().find(',') != std::string::npos) {
    Fail(ErrorCode::kUnsupported, "sort by several attributes is not supported");
  }
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : Iterate(operand, budget)) {
    keyed.emplace_back(SortKey(item, path, args.TruthOr(1, false), budget), item);
  }
  return Value::MakeList(SortedBy(std::move(keyed), args.TruthOr(0, false), budget));
}

Value DictSortFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  const BoundArguments args("dictsort", call, {"case_sensitive", "by", "reverse"});
  if (!operand.Is(Kind::kDict)) {
    Fail(ErrorCode::kInvalidArgument, "dictsort: a dict is required, not {}", operand.TypeName());
  }
  const std::string_view by = args.Has(1) ? args.Text(1) : "key";
  if (by != "key" && by != "value") {
    Fail(ErrorCode::kInvalidArgument, "dictsort: by must be 'key' or 'value'");
  }
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& [key, value] : operand.AsDict().entries()) {
    keyed.emplace_back(SortKey(by == "key" ? key : value, nullptr, args.TruthOr(0, false), budget),
                       Value::MakeList({key, value}, ListKind::kTuple));
  }
  return Value::MakeList(SortedBy(std::move(keyed), args.TruthOr(2, false), budget));
}

Value JoinFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  const BoundArguments args("join", call, {"d", "attribute"});
  const std::string separator = args.Has(0) ? Str(args[0], budget) : "";
  std::string out;
  bool first = true;
  for (const Value& item : Iterate(operand, budget)) {
    if (!first) out += separator;
    first = false;
    out += Str(args.HasNonNone(1) ? AttributePath(item, args[1], nullptr, budget) : item, budget);
    budget.ChargeBytes(separator.size());
    if (out.size() > Budget::kMaxString) budget.ChargeBytes(out.size());
  }
  return Value::String(std::move(out));
}

Value FirstFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  const BoundArguments none("first", call, {});
  const std::vector<Value> items = Iterate(operand, budget);
  return items.empty() ? Value::Undefined("No first item, sequence was empty.") : items.front();
}

void RequireReversible(const Value& operand, const char* filter) {
  if (operand.IsList(ListKind::kIterator)) {
    Fail(ErrorCode::kInvalidArgument, "{}: a generator has no end; apply the list filter first",
         filter);
  }
}

Value LastFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  const BoundArguments none("last", call, {});
  RequireReversible(operand, "last");
  const std::vector<Value> items = Iterate(operand, budget);
  return items.empty() ? Value::Undefined("No last item, sequence was empty.") : items.back();
}

Value ReverseFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  const BoundArguments none("reverse", call, {});
  std::vector<Value> items = Iterate(operand, budget);
  std::reverse(items.begin(), items.end());
  if (!operand.Is(Kind::kString)) return Value::MakeList(std::move(items), ListKind::kIterator);
  std::string text;
  for (const Value& item : items) text += item.Text();
  return Value::String(std::move(text), operand.IsMarkup());
}

Value ListFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  const BoundArguments none("list", call, {});
  return Value::MakeList(Iterate(operand, budget));
}

Value ItemsFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  const BoundArguments none("items", call, {});
  std::vector<Value> items;
  if (operand.Is(Kind::kDict)) {
    budget.Charge(static_cast<int64_t>(operand.AsDict().size()) * 2);
    for (const auto& [key, value] : operand.AsDict().entries()) {
      items.push_back(Value::MakeList({key, value}, ListKind::kTuple));
    }
  } else if (!operand.Is(Kind::kUndefined)) {
    Fail(ErrorCode::kInvalidArgument, "items: a dict is required, not {}", operand.TypeName());
  }
  return Value::MakeList(std::move(items), ListKind::kIterator);
}

CallArguments Without(const CallArguments& call, size_t leading) {
  CallArguments rest;
  rest.positional.assign(call.positional.begin() + static_cast<ptrdiff_t>(leading),
                         call.positional.end());
  rest.named = call.named;
  return rest;
}

const std::string& NameArgument(const char* filter, const CallArguments& call, size_t i) {
  if (i >= call.positional.size() || !call.positional[i].Is(Kind::kString)) {
    Fail(ErrorCode::kInvalidArgument, "{}: argument {} must be a name in quotes", filter, i + 1);
  }
  return call.positional[i].Text();
}

Value MapFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  std::vector<Value> items;
  if (!Truthy(operand)) return Value::MakeList({}, ListKind::kIterator);
  if (call.positional.empty()) {
    const BoundArguments args("map", call, {"attribute", "default"}, 1);
    const Value* fallback = args.HasNonNone(1) ? &args[1] : nullptr;
    for (const Value& item : Iterate(operand, budget)) {
      items.push_back(AttributePath(item, args[0], fallback, budget));
    }
  } else {
    const std::string& name = NameArgument("map", call, 0);
    const CallArguments rest = Without(call, 1);
    for (const Value& item : Iterate(operand, budget)) {
      items.push_back(ApplyFilter(name, item, rest, budget));
    }
  }
  return Value::MakeList(std::move(items), ListKind::kIterator);
}

// select, reject, selectattr, rejectattr.
template <bool kKeep, bool kAttribute>
Value SelectFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  constexpr size_t kTest = kAttribute ? 1 : 0;
  std::vector<Value> items;
  if (!Truthy(operand)) return Value::MakeList({}, ListKind::kIterator);
  if (kAttribute && call.positional.empty()) {
    Fail(ErrorCode::kInvalidArgument, "selectattr: the name of the attribute is missing");
  }
  const bool has_test = call.positional.size() > kTest;
  const CallArguments rest = has_test ? Without(call, kTest + 1) : CallArguments{};
  for (const Value& item : Iterate(operand, budget)) {
    const Value subject =
        kAttribute ? AttributePath(item, call.positional[0], nullptr, budget) : item;
    const bool fits = has_test
                          ? ApplyTest(NameArgument("select", call, kTest), subject, rest, budget)
                          : Truthy(subject);
    if (fits == kKeep) items.push_back(item);
  }
  return Value::MakeList(std::move(items), ListKind::kIterator);
}

Value UniqueFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  const BoundArguments args("unique", call, {"case_sensitive", "attribute"});
  const Value* path = args.HasNonNone(1) ? &args[1] : nullptr;
  std::vector<Value> items;
  Dict seen;
  for (const Value& item : Iterate(operand, budget)) {
    Value key = SortKey(item, path, args.TruthOr(0, false), budget);
    if (seen.Find(key, budget) != nullptr) continue;
    seen.Append(std::move(key), Value::None());
    items.push_back(item);
  }
  return Value::MakeList(std::move(items), ListKind::kIterator);
}

template <bool kMax>
Value ExtremeFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  const BoundArguments args(kMax ? "max" : "min", call, {"case_sensitive", "attribute"});
  const Value* path = args.HasNonNone(1) ? &args[1] : nullptr;
  const std::vector<Value> items = Iterate(operand, budget);
  if (items.empty()) return Value::Undefined("No aggregated item, sequence was empty.");
  const Value* best = &items[0];
  Value best_key = SortKey(items[0], path, args.TruthOr(0, false), budget);
  for (size_t i = 1; i < items.size(); ++i) {
    Value key = SortKey(items[i], path, args.TruthOr(0, false), budget);
    const int order = Compare(key, best_key, kMax ? ">" : "<", budget);
    if (kMax ? order > 0 : order < 0) {
      best = &items[i];
      best_key = std::move(key);
    }
  }
  return *best;
}

Value SumFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  const BoundArguments args("sum", call, {"attribute", "start"});
  Value total = args.Has(1) ? args[1] : Value::Int(0);
  for (const Value& item : Iterate(operand, budget)) {
    const Value term = args.HasNonNone(0) ? AttributePath(item, args[0], nullptr, budget) : item;
    total = BinaryOperator("+", total, term, budget);
  }
  return total;
}

Value BatchFilter(const Value& operand, const CallArguments& call, Budget& budget) {
  const BoundArguments args("batch", call, {"linecount", "fill_with"}, 1);
  const int64_t size = args.IntOr(0, 1);
  if (size < 1) Fail(ErrorCode::kInvalidArgument, "batch: the size must be at least 1");
  std::vector<Value> batches;
  std::vector<Value> batch;
  for (const Value& item : Iterate(operand, budget)) {
    if (static_cast<int64_t>(batch.size()) == size) {
      batches.push_back(Value::MakeList(std::exchange(batch, {})));
    }
    batch.push_back(item);
  }
  if (!batch.empty()) {
    while (args.HasNonNone(1) && static_cast<int64_t>(batch.size()) < size) {
      budget.Charge(1);
      batch.push_back(args[1]);
    }
    batches.push_back(Value::MakeList(std::move(batch)));
  }
  return Value::MakeList(std::move(batches), ListKind::kIterator);
}

struct NamedFilter {
  std::string_view name;
  FilterFunction apply;
};
constexpr NamedFilter kFilters[] = {
    {"join", JoinFilter},
    {"first", FirstFilter},
    {"last", LastFilter},
    {"list", ListFilter},
    {"map", MapFilter},
    {"select", SelectFilter<true, false>},
    {"reject", SelectFilter<false, false>},
    {"selectattr", SelectFilter<true, true>},
    {"rejectattr", SelectFilter<false, true>},
    {"items", ItemsFilter},
    {"dictsort", DictSortFilter},
    {"sort", SortFilter},
    {"reverse", ReverseFilter},
    {"unique", UniqueFilter},
    {"min", ExtremeFilter<false>},
    {"max", ExtremeFilter<true>},
    {"sum", SumFilter},
    {"batch", BatchFilter},
};

}  // namespace

FilterFunction FindSequenceFilter(const std::string& name) {
  for (const NamedFilter& filter : kFilters) {
    if (filter.name == name) return filter.apply;
  }
  return nullptr;
}

}  // namespace lorikeet::jinja
