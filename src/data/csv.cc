#include "data/csv.h"

#include <algorithm>
#include <set>

#include "core/error.h"

namespace lorikeet {
namespace {

// Reads records one after the other.
class CsvReader {
 public:
  CsvReader(std::string_view content, char delimiter, const std::string& name)
      : content_(content), delimiter_(delimiter), name_(name) {}

  // False at the end. Empty lines are passed over. `line`: at which the record begins.
  bool Next(std::vector<std::string>* fields, int64_t* line) {
    while (at_ < content_.size() && SkipLineEnd()) {
    }
    if (at_ >= content_.size()) return false;
    *line = line_;
    fields->clear();
    do {
      fields->push_back(Field());
    } while (SkipDelimiter());
    if (at_ < content_.size() && !SkipLineEnd()) {
      Fail(ErrorCode::kCorruptFile, "{}:{}: text after a closing quote", name_, line_);
    }
    return true;
  }

 private:
  bool SkipDelimiter() {
    if (at_ >= content_.size() || content_[at_] != delimiter_) return false;
    ++at_;
    return true;
  }
  bool SkipLineEnd() {
    const std::string_view rest = content_.substr(at_);
    const size_t size = rest.starts_with("\r\n") ? 2 : rest[0] == '\n' || rest[0] == '\r' ? 1 : 0;
    at_ += size;
    line_ += size > 0 ? 1 : 0;
    return size > 0;
  }
  std::string Field() {
    if (at_ < content_.size() && content_[at_] == '"') return Quoted();
    const char ends[] = {delimiter_, '\n', '\r', '\0'};
    const size_t end = std::min(content_.find_first_of(ends, at_), content_.size());
    std::string field(content_.substr(at_, end - at_));
    at_ = end;
    return field;
  }
  std::string Quoted() {
    const int64_t begin = line_;
    std::string field;
    for (++at_;; ++at_) {
      if (at_ >= content_.size()) {
        Fail(ErrorCode::kCorruptFile, "{}:{}: a quote that begins here does not close", name_,
             begin);
      }
      const char c = content_[at_];
      if (c == '"') {
        ++at_;
        if (at_ >= content_.size() || content_[at_] != '"') return field;
      }
      line_ += c == '\n' ? 1 : 0;
      field += c;
    }
  }

  std::string_view content_;
  char delimiter_;
  const std::string& name_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

// Columns whose values are lists or objects.
bool HoldsJson(const std::string& column) {
  static const std::set<std::string> kColumns = {
      "messages", "conversations", "conversation", "history",  "tools",
      "prompt",   "completion",    "chosen",       "rejected", "chat_template_kwargs"};
  return kColumns.count(column) != 0;
}

bool LooksLikeJson(const std::string& value) {
  return (value.front() == '[' && value.back() == ']') ||
         (value.front() == '{' && value.back() == '}');
}

// The value as one line of JSON: white space between tokens may hold line ends.
void AppendValue(const std::string& column, const std::string& value, std::string* json) {
  // Prompts may be texts in brackets; lists of messages begin with an object.
  const bool list = LooksLikeJson(value) && value.find('"') != std::string::npos;
  if (!HoldsJson(column) || !list) {
    AppendJsonString(value, json);
    return;
  }
  for (const char c : value) *json += c == '\n' || c == '\r' ? ' ' : c;
}

void CheckHeader(const std::vector<std::string>& header, const std::string& name, int64_t line) {
  std::set<std::string> seen;
  for (const std::string& column : header) {
    if (column.empty()) {
      Fail(ErrorCode::kCorruptFile,
           "{}:{}: a column without a name; the first line must name the columns", name, line);
    }
    if (!seen.insert(column).second) {
      Fail(ErrorCode::kCorruptFile, "{}:{}: two columns are called '{}'", name, line, column);
    }
  }
}

char DelimiterOf(std::string_view content, char delimiter) {
  const std::string_view header = content.substr(0, content.find('\n'));
  const bool semicolons = delimiter == ',' && header.find(',') == std::string_view::npos &&
                          header.find(';') != std::string_view::npos;
  return semicolons ? ';' : delimiter;
}

}  // namespace

void AppendJsonString(std::string_view text, std::string* json) {
  constexpr std::string_view kHex = "0123456789abcdef";
  *json += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      *json += '\\';
      *json += c;
    } else if (byte < 0x20) {
      *json += "\\u00";
      *json += kHex[byte >> 4U];
      *json += kHex[byte & 15U];
    } else {
      *json += c;
    }
  }
  *json += '"';
}

JsonLines CsvToJson(std::string_view content, char delimiter, const std::string& name) {
  CsvReader reader(content, DelimiterOf(content, delimiter), name);
  std::vector<std::string> header, fields;
  int64_t line = 0;
  JsonLines rows;
  if (!reader.Next(&header, &line)) return rows;
  CheckHeader(header, name, line);
  while (reader.Next(&fields, &line)) {
    if (fields.size() != header.size()) {
      Fail(ErrorCode::kCorruptFile,
           "{}:{}: {} values for {} columns; quote values with commas, quotes or line ends", name,
           line, fields.size(), header.size());
    }
    const size_t begin = rows.text.size();
    for (size_t i = 0; i < fields.size(); ++i) {
      if (fields[i].empty()) continue;
      rows.text += rows.text.size() == begin ? '{' : ',';
      AppendJsonString(header[i], &rows.text);
      rows.text += ':';
      AppendValue(header[i], fields[i], &rows.text);
    }
    rows.text += rows.text.size() == begin ? "{}\n" : "}\n";
    rows.source.push_back(line);
  }
  return rows;
}

}  // namespace lorikeet
