#include "core/json.h"

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "core/text.h"

namespace lorikeet {
namespace {

// nlohmann's copy and comparison of values recurse, so files nested deeper than any real one are
// refused.
constexpr int kMaxDepth = 200;

void CheckDepth(std::string_view text, const std::string& where) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) {
        Fail(ErrorCode::kCorruptFile, "{}: JSON nested deeper than {} levels", where, kMaxDepth);
      }
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
}

// Builds an OrderedJson from a parser's events. nlohmann's own builder looks through all keys of an
// object at each new one.
// (It moves without exceptions, which clang-tidy cannot see.)
// NOLINTNEXTLINE(bugprone-exception-escape)
class OrderedBuilder final : public nlohmann::json_sax<OrderedJson> {
 public:
  OrderedJson TakeRoot() { return std::move(root_); }
  const std::string& error() const { return error_; }

  bool null() override { return Put(nullptr); }
  bool boolean(bool value) override { return Put(value); }
  bool number_integer(number_integer_t value) override { return Put(value); }
  bool number_unsigned(number_unsigned_t value) override { return Put(value); }
  bool number_float(number_float_t value, const string_t& /*text*/) override { return Put(value); }
  bool string(string_t& value) override { return Put(std::move(value)); }
  bool binary(binary_t& value) override { return Put(std::move(value)); }
  bool start_object(size_t /*elements*/) override { return Open(OrderedJson::object()); }
  bool start_array(size_t /*elements*/) override { return Open(OrderedJson::array()); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }

  bool key(string_t& name) override {
    Level& level = levels_.back();
    Entries& entries = EntriesOf(level);
    level.at = IndexOf(level, entries, name);
    if (level.at < entries.size()) return true;  // again: the last value counts, at the first place
    if (!level.index.empty()) level.index.emplace(name, entries.size());
    entries.emplace_back(std::move(name), nullptr);
    return true;
  }

  bool parse_error(size_t /*position*/, const std::string& /*token*/,
                   const nlohmann::detail::exception& e) override {
    error_ = e.what();
    return false;
  }

 private:
  struct Level {
    OrderedJson* container;
    size_t at = 0;                                    // index of the last key in an object
    std::unordered_map<std::string, size_t> index{};  // by key, in a large object
  };

  // The vector below an ordered map.
  using Entries = OrderedJson::object_t::Container;
  static Entries& EntriesOf(const Level& level) {
    return static_cast<Entries&>(level.container->get_ref<OrderedJson::object_t&>());
  }

  static size_t IndexOf(Level& level, const Entries& entries, const std::string& name) {
    constexpr size_t kSmall = 32;
    if (entries.size() < kSmall) {
      const auto found = std::find_if(entries.begin(), entries.end(),
                                      [&name](const auto& entry) { return entry.first == name; });
      return static_cast<size_t>(found - entries.begin());
    }
    if (level.index.empty()) {
      for (size_t i = 0; i < entries.size(); ++i) level.index.emplace(entries[i].first, i);
    }
    const auto found = level.index.find(name);
    return found == level.index.end() ? entries.size() : found->second;
  }

  OrderedJson* Place(OrderedJson value) {
    if (levels_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    const Level& level = levels_.back();
    if (level.container->is_array()) {
      auto& array = level.container->get_ref<OrderedJson::array_t&>();
      array.push_back(std::move(value));
      return &array.back();
    }
    OrderedJson& entry = EntriesOf(level)[level.at].second;
    entry = std::move(value);
    return &entry;
  }
  bool Put(OrderedJson value) {
    Place(std::move(value));
    return true;
  }
  bool Open(OrderedJson value) {
    levels_.push_back({Place(std::move(value))});
    return true;
  }
  bool Close() {
    levels_.pop_back();
    return true;
  }

  OrderedJson root_;
  std::vector<Level> levels_;
  std::string error_;
};

[[noreturn]] void FailInvalid(std::string_view text, const std::string& where,
                              std::string_view what) {
  RefuseWebPage(text, where);
  Fail(ErrorCode::kCorruptFile, "{}: not valid JSON: {}", where, WithoutControls(what));
}

}  // namespace

Json ParseJson(std::string_view text, const std::string& where) {
  CheckDepth(text, where);
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const Json::exception& e) {
    FailInvalid(text, where, e.what());
  }
}

OrderedJson ParseOrderedJson(std::string_view text, const std::string& where) {
  CheckDepth(text, where);
  OrderedBuilder builder;
  if (!OrderedJson::sax_parse(text.begin(), text.end(), &builder)) {
    FailInvalid(text, where, builder.error());
  }
  return builder.TakeRoot();
}

}  // namespace lorikeet
