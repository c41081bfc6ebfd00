#include "data/row_file.h"

#include <cstring>

#include "core/error.h"
#include "core/json.h"

namespace lorikeet {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string_view TrimJsonSpace(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<Row> CutLines(std::string_view content) {
  std::vector<Row> rows;
  for (int64_t line = 1; !content.empty(); ++line) {
    const size_t end = content.find('\n');
    const std::string_view text = TrimJsonSpace(content.substr(0, end));
    if (!text.empty()) rows.push_back({text, line});
    if (end == std::string_view::npos) break;
    content.remove_prefix(end + 1);
  }
  return rows;
}

// Finds the elements of one array by strings and brackets alone: the parser checks later whether an
// element is valid JSON.
class ArrayCutter {
 public:
  ArrayCutter(std::string_view content, const std::string& name) : content_(content), name_(name) {}

  std::vector<Row> Cut() {
    std::vector<Row> rows;
    SkipSpace();
    ++at_;  // the opening '['
    SkipSpace();
    while (Peek() != ']' || !rows.empty()) {
      rows.push_back(Element());
      SkipSpace();
      if (Peek() == ']') break;
      if (Peek() != ',') Fail(ErrorCode::kCorruptFile, "{}:{}: expected ',' or ']'", name_, line_);
      ++at_;
      SkipSpace();
    }
    ++at_;
    SkipSpace();
    if (at_ < content_.size() && content_[at_] == '[') return CutLines(content_);  // lists in JSONL
    if (at_ < content_.size()) {
      Fail(ErrorCode::kCorruptFile, "{}:{}: text after the array's closing ']'", name_, line_);
    }
    return rows;
  }

 private:
  char Peek() const {
    if (at_ >= content_.size()) {
      Fail(ErrorCode::kCorruptFile, "{}:{}: the file ends before the array's ']'; is it truncated?",
           name_, line_);
    }
    return content_[at_];
  }
  void SkipSpace() {
    for (; at_ < content_.size() && IsSpace(content_[at_]); ++at_) line_ += content_[at_] == '\n';
  }
  void SkipString() {
    for (++at_; Peek() != '"'; ++at_) {
      if (Peek() == '\\') ++at_;
      line_ += Peek() == '\n';
    }
  }
  Row Element() {
    const size_t begin = at_;
    const int64_t line = line_;
    int64_t depth = 0;
    for (;; ++at_) {
      const char c = Peek();
      if (depth == 0 && (c == ',' || c == ']')) break;
      if (c == '"') SkipString();
      line_ += c == '\n';
      depth += (c == '{' || c == '[') ? 1 : (c == '}' || c == ']') ? -1 : 0;
      if (depth < 0) Fail(ErrorCode::kCorruptFile, "{}:{}: a '{}' too many", name_, line_, c);
    }
    return {TrimJsonSpace(content_.substr(begin, at_ - begin)), line};
  }

  std::string_view content_;
  const std::string& name_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

// Whether a value is a message and no row: a list of such is one conversation.
bool IsMessage(std::string_view text) {
  const OrderedJson json =
      OrderedJson::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  const auto has = [&](const char* key) { return json.contains(key); };
  return json.is_object() && ((has("role") && has("content")) || (has("from") && has("value")));
}

}  // namespace

std::vector<Row> CutRows(std::string_view content, const std::string& name) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (content.starts_with("\xFF\xFE") || content.starts_with("\xFE\xFF")) {
    Fail(ErrorCode::kCorruptFile, "{}:1: the file is UTF-16; save it as UTF-8", name);
  }
  if (content.starts_with(kByteOrderMark)) content.remove_prefix(kByteOrderMark.size());
  const std::string_view trimmed = TrimJsonSpace(content);
  if (!trimmed.starts_with('[')) return CutLines(content);
  std::vector<Row> rows = ArrayCutter(content, name).Cut();
  if (rows.empty() || !IsMessage(rows.front().text)) return rows;
  return {{trimmed, rows.front().line}};  // one list of messages
}

RowFile::RowFile(const std::string& path) : file_(path) {
  rows_ = CutRows({reinterpret_cast<const char*>(file_.data()), file_.size()}, path);
  if (rows_.empty()) {
    Fail(ErrorCode::kInvalidArgument,
         "{}: the file holds no rows; expected one JSON object per line", path);
  }
}

}  // namespace lorikeet
