#include "data/row_fields.h"

#include <cstdint>

#include "core/utf8.h"

namespace lorikeet {
namespace {

constexpr int kMaxNesting = 64;  // copying and printing JSON recurse

// Checks for faults that the parser accepts or reports badly: ill-formed UTF-8, deep nesting.
void CheckText(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (static_cast<uint8_t>(c) >= 0x80) {
      const int length = Utf8SequenceLength(text, i);
      if (length < 0) {
        BadRow("invalid UTF-8: byte 0x{:02X} at column {}; save the file as UTF-8",
               static_cast<uint8_t>(c), i + 1);
      }
      i += static_cast<size_t>(length);
      continue;
    }
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else {
      if (c == '"') in_string = true;
      if (c == '[' || c == '{') ++depth;
      if (c == ']' || c == '}') --depth;
      if (depth > kMaxNesting) BadRow("JSON nested deeper than {} levels", kMaxNesting);
    }
    ++i;
  }
}

// The parser's message without its name, its code and long quotations.
std::string ShortParseError(std::string what) {
  const size_t at = what.find("column ");
  if (at != std::string::npos) what.erase(0, at);
  return Printable(what, 160);
}

}  // namespace

std::string Printable(std::string_view text, size_t max_bytes) {
  std::string shown(text.substr(0, max_bytes));
  if (shown.size() < text.size()) {
    while (!shown.empty() && (static_cast<uint8_t>(text[shown.size()]) & 0xC0U) == 0x80U) {
      shown.pop_back();
    }
    shown += "...";
  }
  for (char& c : shown) {
    if (static_cast<uint8_t>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return shown;
}

bool IsEmptyJson(const OrderedJson& value) {
  if (value.is_null()) return true;
  if (value.is_string()) return value.get_ref<const std::string&>().empty();
  return value.is_structured() && value.empty();
}

// Reading a row takes about twelve times its size.
constexpr size_t kMaxRowBytes = size_t{256} << 20;

OrderedJson ParseRowJson(std::string_view text) {
  if (text.size() > kMaxRowBytes) {
    BadRow("{} MiB, and a row has at most {} MiB; cut it into several rows", text.size() >> 20,
           kMaxRowBytes >> 20);
  }
  CheckText(text);
  try {
    return ParseOrderedJson(text, "row");
  } catch (const Error& e) {
    const bool opens_only = text == "{";
    BadRow("not valid JSON: {}{}", ShortParseError(e.what()),
           opens_only ? "; in JSONL each row is one line" : "");
  }
}

OrderedJson DecodedJson(OrderedJson value) {
  if (!value.is_string()) return value;
  try {
    return ParseRowJson(value.get_ref<const std::string&>());
  } catch (const Error&) {
    return value;
  }
}

OrderedJson RowFields::Take(const char* key) {
  const auto it = object_.find(key);
  if (it == object_.end()) return nullptr;
  OrderedJson value = std::move(*it);
  object_.erase(it);
  return value;
}

std::string RowFields::TakeString(const char* key) {
  OrderedJson value = Take(key);
  if (!value.is_string()) BadRow("{} must be a string, got {}", Shown(key), value.type_name());
  return std::move(value.get_ref<std::string&>());
}

std::string RowFields::TakeOptionalString(const char* key) {
  if (Has(key)) return TakeString(key);
  Take(key);
  return {};
}

OrderedJson RowFields::TakeArray(const char* key) {
  OrderedJson value = Take(key);
  if (!value.is_array()) BadRow("{} must be a list, got {}", Shown(key), value.type_name());
  if (value.empty()) BadRow("{} is empty", Shown(key));
  return value;
}

void RowFields::Rename(const std::map<std::string, std::string>& names, std::string* shadowed) {
  OrderedJson taken = OrderedJson::object();
  for (const auto& [name, column] : names) {
    const auto it = object_.find(column);
    if (it == object_.end()) continue;
    taken[name] = *it;
    if (name != column) renamed_[name] = column;
  }
  for (const auto& [name, column] : names) object_.erase(column);
  for (const auto& [name, value] : taken.items()) {
    if (object_.erase(name) > 0 && shadowed != nullptr) *shadowed = name;
  }
  taken.update(object_);
  object_ = std::move(taken);
}

std::string RowFields::Shown(const char* key) const {
  const auto it = renamed_.find(key);
  return it == renamed_.end() ? fmt::format("\"{}\"", key)
                              : fmt::format("\"{}\" (taken as {})", Printable(it->second), key);
}

}  // namespace lorikeet
