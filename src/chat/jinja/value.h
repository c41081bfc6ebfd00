// A `Value` is a value of a template: Python's types as far as a chat template distinguishes them.
// Strings, lists and dicts are immutable (the sandbox of the templates forbids changes in Python
// too); only namespaces change. Containers count their depth, so that recursion over them is
// bounded.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/json.h"

namespace lorikeet::jinja {

class Value;
class Dict;
struct List;
struct LoopState;
struct Namespace;

// Limit of the cost of one rendering. A step is about one evaluated node or 32 copied bytes.
class Budget {
 public:
  static constexpr int64_t kMaxSteps = 20'000'000;
  static constexpr size_t kMaxString = size_t{64} << 20;

  explicit Budget(int64_t max_steps = kMaxSteps) : max_steps_(max_steps) {}
  void Charge(int64_t steps);      // throws Error(kUnsupported) beyond the limit
  void ChargeBytes(size_t bytes);  // the same for a string of `bytes`, which is bounded too
  int64_t used() const { return used_; }

 private:
  int64_t max_steps_;
  int64_t used_ = 0;
};

struct CallArguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

struct Callable {
  std::string name;
  std::function<Value(CallArguments&)> call;
  int depth = 1;
};

enum class ListKind : uint8_t {
  kList,
  kTuple,
  kRange,
  kView,      // dict.items() and the like: has a length, cannot be indexed
  kIterator,  // a generator: no length, consumed by its first use
};

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kDict,
  kNamespace,
  kCallable,
  kLoop,
};

class Value {
 public:
  Value() : Value(Undefined("value is undefined")) {}
  static Value Undefined(std::string what);  // `what`: message of the error when it is used
  static Value None();
  static Value Bool(bool value);
  static Value Int(int64_t value);
  static Value Float(double value);
  static Value String(std::string text, bool markup = false);
  // Both throw Error(kUnsupported) when nested deeper than kMaxDepth.
  static Value MakeList(std::vector<Value> items, ListKind kind = ListKind::kList);
  static Value MakeDict(Dict dict);
  static Value Call(std::string name, std::function<Value(CallArguments&)> call, int depth = 1);
  static Value Of(Namespace* space);  // not owned: the renderer keeps namespaces for its lifetime
  static Value Of(std::shared_ptr<LoopState> loop);
  // Throws Error for integers beyond 64 bits signed and for too deep nesting.
  static Value FromJson(const OrderedJson& json, int depth = 0);

  static constexpr int kMaxDepth = 200;

  Kind kind() const { return static_cast<Kind>(storage_.index()); }
  bool Is(Kind kind) const { return this->kind() == kind; }
  bool IsList(ListKind kind) const;
  bool AsBool() const { return std::get<bool>(storage_); }
  bool IsIntegral() const { return Is(Kind::kInt) || Is(Kind::kBool); }
  bool IsNumber() const { return IsIntegral() || Is(Kind::kFloat); }
  int64_t AsInt() const;    // for an int or bool
  double AsDouble() const;  // for a number
  const std::string& Text() const { return *std::get<StringData>(storage_).text; }
  bool IsMarkup() const { return Is(Kind::kString) && std::get<StringData>(storage_).markup; }
  const List& AsList() const { return *std::get<std::shared_ptr<const List>>(storage_); }
  const Dict& AsDict() const { return *std::get<std::shared_ptr<const Dict>>(storage_); }
  Namespace& AsNamespace() const { return *std::get<Namespace*>(storage_); }
  LoopState& AsLoop() const { return *std::get<std::shared_ptr<LoopState>>(storage_); }
  const Callable& AsCallable() const {
    return *std::get<std::shared_ptr<const Callable>>(storage_);
  }
  const std::string& UndefinedMessage() const;

  const char* TypeName() const;  // Python's name of the type
  int Depth() const;
  bool SameObject(const Value& other) const;

 private:
  struct UndefinedData {
    std::shared_ptr<const std::string> what;
  };
  struct StringData {
    std::shared_ptr<const std::string> text;
    bool markup = false;
  };
  // The order is that of Kind.
  using Storage = std::variant<UndefinedData, std::monostate, bool, int64_t, double, StringData,
                               std::shared_ptr<const List>, std::shared_ptr<const Dict>, Namespace*,
                               std::shared_ptr<const Callable>, std::shared_ptr<LoopState>>;
  explicit Value(Storage storage) : storage_(std::move(storage)) {}
  Storage storage_;
};

struct List {
  std::vector<Value> items;
  ListKind kind = ListKind::kList;
  int depth = 1;
  mutable bool consumed = false;  // kIterator: whether it was used; values stay in one thread
};

// Keeps the order of insertion. A linear search: the dicts of a chat are small, and each search is
// charged.
class Dict {
 public:
  using Entry = std::pair<Value, Value>;
  const Value* Find(const Value& key, Budget& budget) const;
  const Value* Find(std::string_view key) const;
  void Set(Value key, Value value, Budget& budget);
  void Append(Value key, Value value) { entries_.emplace_back(std::move(key), std::move(value)); }
  const std::vector<Entry>& entries() const { return entries_; }
  size_t size() const { return entries_.size(); }
  int depth = 1;

 private:
  size_t IndexOf(const Value& key, Budget& budget) const;  // size() when absent

  std::vector<Entry> entries_;
};

struct Namespace {
  Dict values;
};

struct LoopState {
  Value items;  // a list
  size_t index = 0;
  int depth = 1;
  Value last_changed = Value::Undefined("");
  bool has_changed = false;
};

bool Truthy(const Value& value);
bool Equal(const Value& a, const Value& b, Budget& budget);
// <0, 0, >0; throws Error when Python would not order them. `op` is for the message.
int Compare(const Value& a, const Value& b, const char* op, Budget& budget);
std::string Str(const Value& value, Budget& budget);     // str(value)
std::string ReprOf(const Value& value, Budget& budget);  // repr(value)
// list(value): strings give their code points, dicts their keys. Throws Error when not iterable.
std::vector<Value> Iterate(const Value& value, Budget& budget);
int64_t Length(const Value& value);  // len(value)

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  bool has_indent = false;
  std::string indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
std::string ToJson(const Value& value, const JsonStyle& style, Budget& budget);

}  // namespace lorikeet::jinja
