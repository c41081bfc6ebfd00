#include "chat/jinja/value.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "chat/jinja/text.h"
#include "core/error.h"

namespace lorikeet::jinja {
namespace {

int CheckedDepth(int depth) {
  if (depth > Value::kMaxDepth) {
    Fail(ErrorCode::kUnsupported, "values nest deeper than {} levels", Value::kMaxDepth);
  }
  return depth;
}

// A key as json.dumps writes it.
std::string JsonKey(const Value& key) {
  switch (key.kind()) {
    case Kind::kString:
      return key.Text();
    case Kind::kBool:
      return key.AsBool() ? "true" : "false";
    case Kind::kInt:
      return std::to_string(key.AsInt());
    case Kind::kFloat:
      return FloatRepr(key.AsDouble());
    case Kind::kNone:
      return "null";
    default:
      Fail(ErrorCode::kInvalidArgument,
           "tojson: keys must be str, int, float, bool or None, not {}", key.TypeName());
  }
}

std::string JsonFloat(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  return FloatRepr(value);
}

class JsonWriter {
 public:
  JsonWriter(const JsonStyle& style, Budget& budget) : style_(style), budget_(budget) {}

  void Write(const Value& value, int level) {
    budget_.Charge(1);
    switch (value.kind()) {
      case Kind::kNone:
        out_ += "null";
        return;
      case Kind::kBool:
        out_ += value.AsBool() ? "true" : "false";
        return;
      case Kind::kInt:
        out_ += std::to_string(value.AsInt());
        return;
      case Kind::kFloat:
        out_ += JsonFloat(value.AsDouble());
        return;
      case Kind::kString:
        budget_.ChargeBytes(value.Text().size());
        out_ += JsonString(value.Text(), style_.ensure_ascii);
        break;
      case Kind::kList:
        WriteList(value, level);
        break;
      case Kind::kDict:
        WriteDict(value.AsDict(), level);
        break;
      case Kind::kUndefined:
        Fail(ErrorCode::kInvalidArgument, "tojson of an undefined value: {}",
             value.UndefinedMessage());
      default:
        Fail(ErrorCode::kInvalidArgument, "tojson cannot write a {}", value.TypeName());
    }
    if (out_.size() > Budget::kMaxString) budget_.ChargeBytes(out_.size());
  }

  std::string Take() { return std::move(out_); }

 private:
  void NewLine(int level) {
    if (!style_.has_indent) return;
    out_.push_back('\n');
    for (int i = 0; i < level; ++i) out_ += style_.indent;
    budget_.ChargeBytes(style_.indent.size() * static_cast<size_t>(level));
  }

  void WriteList(const Value& value, int level) {
    const List& list = value.AsList();
    if (list.kind != ListKind::kList && list.kind != ListKind::kTuple) {
      Fail(ErrorCode::kInvalidArgument, "tojson cannot write a {}; apply the list filter first",
           value.TypeName());
    }
    out_.push_back('[');
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      NewLine(level + 1);
      Write(list.items[i], level + 1);
    }
    if (!list.items.empty()) NewLine(level);
    out_.push_back(']');
  }

  void WriteDict(const Dict& dict, int level) {
    std::vector<const Dict::Entry*> entries;
    for (const auto& entry : dict.entries()) entries.push_back(&entry);
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(), [&](const auto* a, const auto* b) {
        return Compare(a->first, b->first, "<", budget_) < 0;
      });
    }
    out_.push_back('{');
    bool first = true;
    for (const auto* entry : entries) {
      if (!first) out_ += style_.item_separator;
      first = false;
      NewLine(level + 1);
      out_ += JsonString(JsonKey(entry->first), style_.ensure_ascii);
      out_ += style_.key_separator;
      Write(entry->second, level + 1);
    }
    if (!first) NewLine(level);
    out_.push_back('}');
  }

  const JsonStyle& style_;
  Budget& budget_;
  std::string out_;
};

bool SameEntries(const Dict& a, const Dict& b, Budget& budget) {
  if (a.size() != b.size()) return false;
  for (const auto& [key, value] : a.entries()) {
    const Value* other = b.Find(key, budget);
    if (other == nullptr || !Equal(value, *other, budget)) return false;
  }
  return true;
}

}  // namespace

void Budget::Charge(int64_t steps) {
  used_ += steps;
  if (used_ > max_steps_) {
    Fail(ErrorCode::kUnsupported, "the template takes more than {} steps: it may never end",
         max_steps_);
  }
}

void Budget::ChargeBytes(size_t bytes) {
  if (bytes > kMaxString) {
    Fail(ErrorCode::kUnsupported, "the template makes a text of more than {} MB", kMaxString >> 20);
  }
  Charge(static_cast<int64_t>(bytes / 32));
}

Value Value::Undefined(std::string what) {
  return Value(Storage(UndefinedData{std::make_shared<const std::string>(std::move(what))}));
}
Value Value::None() { return Value(Storage(std::monostate{})); }
Value Value::Bool(bool value) { return Value(Storage(std::in_place_type<bool>, value)); }
Value Value::Int(int64_t value) { return Value(Storage(std::in_place_type<int64_t>, value)); }
Value Value::Float(double value) { return Value(Storage(std::in_place_type<double>, value)); }
Value Value::String(std::string text, bool markup) {
  return Value(Storage(StringData{std::make_shared<const std::string>(std::move(text)), markup}));
}

Value Value::MakeList(std::vector<Value> items, ListKind kind) {
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.Depth());
  auto list = std::make_shared<List>();
  list->depth = CheckedDepth(depth + 1);
  list->items = std::move(items);
  list->kind = kind;
  return Value(Storage(std::shared_ptr<const List>(std::move(list))));
}

Value Value::MakeDict(Dict dict) {
  int depth = 0;
  for (const auto& [key, value] : dict.entries()) {
    depth = std::max({depth, key.Depth(), value.Depth()});
  }
  dict.depth = CheckedDepth(depth + 1);
  return Value(Storage(std::make_shared<const Dict>(std::move(dict))));
}

Value Value::Call(std::string name, std::function<Value(CallArguments&)> call, int depth) {
  return Value(Storage(std::make_shared<const Callable>(
      Callable{std::move(name), std::move(call), CheckedDepth(depth)})));
}

Value Value::Of(Namespace* space) { return Value(Storage(space)); }
Value Value::Of(std::shared_ptr<LoopState> loop) {
  loop->depth = CheckedDepth(loop->items.Depth() + 1);
  return Value(Storage(std::move(loop)));
}

Value Value::FromJson(const OrderedJson& json, int depth) {
  CheckedDepth(depth);
  switch (json.type()) {
    case OrderedJson::value_t::boolean:
      return Bool(json.get<bool>());
    case OrderedJson::value_t::number_integer:
      return Int(json.get<int64_t>());
    case OrderedJson::value_t::number_unsigned: {
      const auto number = json.get<uint64_t>();
      if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        Fail(ErrorCode::kUnsupported, "the integer {} is beyond 64 bits signed", number);
      }
      return Int(static_cast<int64_t>(number));
    }
    case OrderedJson::value_t::number_float:
      return Float(json.get<double>());
    case OrderedJson::value_t::string:
      return String(json.get_ref<const std::string&>());
    case OrderedJson::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const auto& item : json) items.push_back(FromJson(item, depth + 1));
      return MakeList(std::move(items));
    }
    case OrderedJson::value_t::object: {
      Dict dict;
      for (const auto& [key, value] : json.items()) {
        dict.Append(String(key), FromJson(value, depth + 1));
      }
      return MakeDict(std::move(dict));
    }
    default:
      return None();
  }
}

bool Value::IsList(ListKind kind) const { return Is(Kind::kList) && AsList().kind == kind; }

int64_t Value::AsInt() const {
  return Is(Kind::kBool) ? int64_t{AsBool()} : std::get<int64_t>(storage_);
}
double Value::AsDouble() const {
  return Is(Kind::kFloat) ? std::get<double>(storage_) : static_cast<double>(AsInt());
}
const std::string& Value::UndefinedMessage() const {
  return *std::get<UndefinedData>(storage_).what;
}

const char* Value::TypeName() const {
  static constexpr const char* kNames[] = {"Undefined", "NoneType", "bool",       "int",
                                           "float",     "str",      "list",       "dict",
                                           "Namespace", "function", "LoopContext"};
  static constexpr const char* kListNames[] = {"list", "tuple", "range", "dict view", "generator"};
  if (Is(Kind::kList)) return kListNames[static_cast<size_t>(AsList().kind)];
  return kNames[storage_.index()];
}

int Value::Depth() const {
  switch (kind()) {
    case Kind::kList:
      return AsList().depth;
    case Kind::kDict:
      return AsDict().depth;
    case Kind::kCallable:
      return AsCallable().depth;
    case Kind::kLoop:
      return AsLoop().depth;
    default:
      return 0;
  }
}

bool Value::SameObject(const Value& other) const {
  if (kind() != other.kind()) return false;
  switch (kind()) {
    case Kind::kList:
      return &AsList() == &other.AsList();
    case Kind::kDict:
      return &AsDict() == &other.AsDict();
    case Kind::kNamespace:
      return &AsNamespace() == &other.AsNamespace();
    case Kind::kCallable:
      return &AsCallable() == &other.AsCallable();
    case Kind::kLoop:
      return &AsLoop() == &other.AsLoop();
    case Kind::kString:
      return Text() == other.Text();
    case Kind::kFloat:
      return AsDouble() == other.AsDouble();
    case Kind::kBool:
    case Kind::kInt:
      return AsInt() == other.AsInt();
    default:
      return true;
  }
}

const Value* Dict::Find(std::string_view key) const {
  for (const auto& [name, value] : entries_) {
    if (name.Is(Kind::kString) && name.Text() == key) return &value;
  }
  return nullptr;
}

size_t Dict::IndexOf(const Value& key, Budget& budget) const {
  budget.Charge(1 + static_cast<int64_t>(entries_.size() / 8));
  if (key.Is(Kind::kDict) || key.IsList(ListKind::kList)) {
    Fail(ErrorCode::kInvalidArgument, "a {} cannot be a key of a dict", key.TypeName());
  }
  const bool text = key.Is(Kind::kString);
  size_t i = 0;
  for (; i < entries_.size(); ++i) {
    const Value& name = entries_[i].first;
    const bool same =
        text ? name.Is(Kind::kString) && name.Text() == key.Text() : Equal(name, key, budget);
    if (same) break;
  }
  return i;
}

const Value* Dict::Find(const Value& key, Budget& budget) const {
  const size_t i = IndexOf(key, budget);
  return i < entries_.size() ? &entries_[i].second : nullptr;
}

void Dict::Set(Value key, Value value, Budget& budget) {
  const size_t i = IndexOf(key, budget);
  if (i < entries_.size()) {
    entries_[i].second = std::move(value);
  } else {
    entries_.emplace_back(std::move(key), std::move(value));
  }
}

bool Truthy(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.AsInt() != 0;
    case Kind::kFloat:
      return value.AsDouble() != 0;
    case Kind::kString:
      return !value.Text().empty();
    case Kind::kList:
      return value.AsList().kind == ListKind::kIterator || !value.AsList().items.empty();
    case Kind::kDict:
      return value.AsDict().size() > 0;
    default:
      return true;
  }
}

bool Equal(const Value& a, const Value& b, Budget& budget) {
  budget.Charge(1);
  if (a.IsNumber() && b.IsNumber()) {
    return a.IsIntegral() && b.IsIntegral() ? a.AsInt() == b.AsInt() : a.AsDouble() == b.AsDouble();
  }
  if (a.kind() != b.kind()) return false;
  if (a.Is(Kind::kString)) {
    if (a.Text().size() != b.Text().size()) return false;
    budget.Charge(static_cast<int64_t>(a.Text().size() / 64));
    return a.Text() == b.Text();
  }
  if (a.Is(Kind::kDict)) return SameEntries(a.AsDict(), b.AsDict(), budget);
  if (a.Is(Kind::kList) && a.AsList().kind <= ListKind::kRange) {
    const auto& x = a.AsList();
    const auto& y = b.AsList();
    if (x.kind != y.kind || x.items.size() != y.items.size()) return false;
    for (size_t i = 0; i < x.items.size(); ++i) {
      if (!Equal(x.items[i], y.items[i], budget)) return false;
    }
    return true;
  }
  return a.SameObject(b);
}

int Compare(const Value& a, const Value& b, const char* op, Budget& budget) {
  budget.Charge(1);
  if (a.IsIntegral() && b.IsIntegral()) {
    return a.AsInt() < b.AsInt() ? -1 : a.AsInt() > b.AsInt() ? 1 : 0;
  }
  if (a.IsNumber() && b.IsNumber()) {
    const double x = a.AsDouble();
    const double y = b.AsDouble();
    return x < y ? -1 : x > y ? 1 : 0;
  }
  if (a.Is(Kind::kString) && b.Is(Kind::kString)) {  // byte order of UTF-8 is code point order
    budget.Charge(static_cast<int64_t>(std::min(a.Text().size(), b.Text().size()) / 64));
    return a.Text().compare(b.Text());
  }
  if (a.Is(Kind::kList) && b.Is(Kind::kList) && a.AsList().kind == b.AsList().kind &&
      a.AsList().kind <= ListKind::kTuple) {
    const auto& x = a.AsList().items;
    const auto& y = b.AsList().items;
    for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      if (!Equal(x[i], y[i], budget)) return Compare(x[i], y[i], op, budget);
    }
    return x.size() < y.size() ? -1 : x.size() > y.size() ? 1 : 0;
  }
  for (const Value* side : {&a, &b}) {
    if (side->Is(Kind::kUndefined)) {
      Fail(ErrorCode::kInvalidArgument, "{}", side->UndefinedMessage());
    }
  }
  Fail(ErrorCode::kInvalidArgument, "'{}' not supported between {} and {}", op, a.TypeName(),
       b.TypeName());
}

std::string Str(const Value& value, Budget& budget) {
  if (value.Is(Kind::kString)) {
    budget.ChargeBytes(value.Text().size());
    return value.Text();
  }
  if (value.Is(Kind::kUndefined)) return "";
  return ReprOf(value, budget);
}

std::string ReprOf(const Value& value, Budget& budget) {
  budget.Charge(1);
  switch (value.kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return value.AsBool() ? "True" : "False";
    case Kind::kInt:
      return std::to_string(value.AsInt());
    case Kind::kFloat:
      return FloatRepr(value.AsDouble());
    case Kind::kString:
      budget.ChargeBytes(value.Text().size());
      return value.IsMarkup() ? "Markup(" + Repr(value.Text()) + ")" : Repr(value.Text());
    case Kind::kDict: {
      std::string out = "{";
      for (const auto& [key, item] : value.AsDict().entries()) {
        if (out.size() > 1) out += ", ";
        out += ReprOf(key, budget) + ": " + ReprOf(item, budget);
        if (out.size() > Budget::kMaxString) budget.ChargeBytes(out.size());
      }
      return out + "}";
    }
    case Kind::kList:
      break;
    default:
      Fail(ErrorCode::kUnsupported, "a {} has no text to print", value.TypeName());
  }
  const List& list = value.AsList();
  if (list.kind == ListKind::kRange) {
    const int64_t begin = list.items.empty() ? 0 : list.items.front().AsInt();
    const int64_t step = list.items.size() < 2 ? 1 : list.items[1].AsInt() - begin;
    const int64_t end = list.items.empty() ? 0 : list.items.back().AsInt() + step;
    if (step == 1) return fmt::format("range({}, {})", begin, end);
  }
  if (list.kind > ListKind::kTuple) {
    Fail(ErrorCode::kUnsupported, "a {} has no text to print; apply the list filter first",
         value.TypeName());
  }
  const bool tuple = list.kind == ListKind::kTuple;
  std::string out = tuple ? "(" : "[";
  for (size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) out += ", ";
    out += ReprOf(list.items[i], budget);
    if (out.size() > Budget::kMaxString) budget.ChargeBytes(out.size());
  }
  if (tuple && list.items.size() == 1) out += ",";
  return out + (tuple ? ")" : "]");
}

std::vector<Value> Iterate(const Value& value, Budget& budget) {
  std::vector<Value> items;
  switch (value.kind()) {
    case Kind::kUndefined:
      return {};
    case Kind::kString:
      budget.Charge(static_cast<int64_t>(value.Text().size()));
      for (std::string_view piece : SplitCodePoints(value.Text())) {
        items.push_back(Value::String(std::string(piece), value.IsMarkup()));
      }
      return items;
    case Kind::kDict:
      budget.Charge(static_cast<int64_t>(value.AsDict().size()));
      for (const auto& entry : value.AsDict().entries()) items.push_back(entry.first);
      return items;
    case Kind::kList: {
      const List& list = value.AsList();
      if (list.kind == ListKind::kIterator && std::exchange(list.consumed, true)) return {};
      budget.Charge(static_cast<int64_t>(list.items.size()));
      return list.items;
    }
    default:
      Fail(ErrorCode::kInvalidArgument, "a {} is not iterable", value.TypeName());
  }
}

int64_t Length(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return static_cast<int64_t>(CountCodePoints(value.Text()));
    case Kind::kDict:
      return static_cast<int64_t>(value.AsDict().size());
    case Kind::kList:
      if (value.AsList().kind != ListKind::kIterator) {
        return static_cast<int64_t>(value.AsList().items.size());
      }
      [[fallthrough]];
    default:
      Fail(ErrorCode::kInvalidArgument, "a {} has no length", value.TypeName());
  }
}

std::string ToJson(const Value& value, const JsonStyle& style, Budget& budget) {
  JsonWriter writer(style, budget);
  writer.Write(value, 0);
  return writer.Take();
}

}  // namespace lorikeet::jinja
