#include "data/row_file.h"

#include <filesystem>
#include <optional>
#include <utility>

#include "core/check.h"
#include "core/error.h"
#include "core/json.h"
#include "data/arrow_rows.h"
#include "data/container.h"
#include "data/row_fields.h"

namespace lorikeet {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

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
    SkipSpace();
    std::vector<Row> rows = Elements();
    SkipSpace();
    if (at_ < content_.size() && content_[at_] == '[') return CutLines(content_);  // lists in JSONL
    if (at_ < content_.size()) {
      Fail(ErrorCode::kCorruptFile, "{}:{}: text after the array's closing ']'", name_, line_);
    }
    return rows;
  }

  // The rows of {"data": [...]}; nothing where the text is not of that shape, or goes on after it.
  std::optional<std::vector<Row>> CutWrapped() {
    SkipSpace();
    if (!Skip("{")) return std::nullopt;
    SkipSpace();
    bool known = false;
    for (const char* key : {"\"data\"", "\"rows\"", "\"train\"", "\"examples\"", "\"instances\""}) {
      known = known || Skip(key);
    }
    SkipSpace();
    if (!known || !Skip(":")) return std::nullopt;
    SkipSpace();
    if (!content_.substr(at_).starts_with('[')) return std::nullopt;
    std::vector<Row> rows = Elements();
    SkipSpace();
    if (!Skip("}")) return std::nullopt;
    SkipSpace();
    const bool objects = !rows.empty() && rows[0].text.starts_with('{');
    if (at_ < content_.size() || !objects) return std::nullopt;
    return rows;
  }

 private:
  // From the opening '[' to behind the closing ']'.
  std::vector<Row> Elements() {
    std::vector<Row> rows;
    ++at_;
    SkipSpace();
    while (Peek() != ']' || !rows.empty()) {
      rows.push_back(Element());
      SkipSpace();
      if (Peek() == ']') break;
      if (Peek() != ',') Fail(ErrorCode::kCorruptFile, "{}:{}: expected ',' or ']'", name_, line_);
      ++at_;
      SkipSpace();
      if (Peek() == ']') {
        Fail(ErrorCode::kCorruptFile, "{}:{}: a comma before the array's ']'; delete it", name_,
             line_);
      }
    }
    ++at_;
    return rows;
  }
  bool Skip(std::string_view text) {
    const bool there = content_.substr(std::min(at_, content_.size())).starts_with(text);
    if (there) at_ += text.size();
    return there;
  }
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

std::optional<std::vector<Row>> Wrapped(std::string_view content, const std::string& name) {
  try {
    return ArrayCutter(content, name).CutWrapped();
  } catch (const Error&) {
    return std::nullopt;  // the reader of lines says what is wrong with them
  }
}

// Whether a value is a message and no row: a list of such is one conversation.
bool IsMessage(std::string_view text) {
  const OrderedJson json =
      OrderedJson::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  const auto has = [&](const char* key) { return json.contains(key); };
  return json.is_object() && ((has("role") && has("content")) || (has("from") && has("value")));
}

std::string_view WithoutMark(std::string_view content, const std::string& name) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (content.starts_with("\xFF\xFE") || content.starts_with("\xFE\xFF")) {
    Fail(ErrorCode::kCorruptFile, "{}:1: the file is UTF-16; save it as UTF-8", name);
  }
  if (content.starts_with(kByteOrderMark)) content.remove_prefix(kByteOrderMark.size());
  return content;
}

// Comma- and tab-separated files under another name.
void RefuseUnnamedCsv(std::string_view content, const std::string& name) {
  const std::string_view text = TrimJsonSpace(content);
  const std::string_view header = text.substr(0, text.find('\n'));
  if (text.starts_with('{') || text.starts_with('[')) return;
  if (header.find_first_of(",;\t") == std::string_view::npos) return;
  Fail(ErrorCode::kCorruptFile,
       "{}:1: no JSON but '{}'; expected one JSON object per line (comma- or tab-separated files "
       "are read if their name ends in .csv or .tsv)",
       name, Printable(header));
}

// Converted files are read once more, from memory.
void RefusePackedTwice(std::string_view content, const std::string& name) {
  switch (ContainerOf(content, NameWithoutPacking(name))) {
    case Container::kText:
    case Container::kCsv:
    case Container::kTsv:
      return;
    default:
      Fail(ErrorCode::kInvalidArgument, "{}: holds another packed file; unpack it once", name);
  }
}

}  // namespace

std::string_view TrimJsonSpace(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<Row> CutRows(std::string_view content, const std::string& name) {
  content = WithoutMark(content, name);
  const std::string_view trimmed = TrimJsonSpace(content);
  if (trimmed.starts_with('[')) {
    std::vector<Row> rows = ArrayCutter(content, name).Cut();
    if (rows.empty() || !IsMessage(rows.front().text)) return rows;
    return {{trimmed, rows.front().line}};  // one list of messages
  }
  if (std::optional<std::vector<Row>> rows = Wrapped(content, name)) return *std::move(rows);
  return CutLines(content);
}

RowFile::RowFile(const std::string& path) : path_(path) {
  if (std::filesystem::is_directory(path)) {
    if (std::filesystem::exists(path + "/dataset_dict.json")) {
      Fail(ErrorCode::kInvalidArgument,
           "{}: holds several splits of a data set; give the folder of one, such as {}/train", path,
           path);
    }
    if (!IsDatasetFolder(path)) {
      Fail(ErrorCode::kInvalidArgument, "{}: is a folder; name the data files in it", path);
    }
    TakeLines(DatasetFolderToJson(path));
  } else {
    file_ = MappedFile(path);
    Read({reinterpret_cast<const char*>(file_.data()), file_.size()}, path);
  }
  if (rows_.empty()) {
    Fail(ErrorCode::kInvalidArgument,
         "{}: the file holds no rows; expected one JSON object per line", path);
  }
}

void RowFile::Read(std::string_view content, const std::string& name) {
  const Container container = ContainerOf(content, name);
  switch (container) {
    case Container::kGzip:
    case Container::kZstd:
      text_ = Unpack(container, content, name);
      RefusePackedTwice(text_, name);
      return Read(text_, NameWithoutPacking(name));
    case Container::kCsv:
    case Container::kTsv:
      return TakeLines(
          CsvToJson(WithoutMark(content, name), container == Container::kCsv ? ',' : '\t', name));
    case Container::kParquet:
      return TakeLines(ParquetToJson(name));
    case Container::kArrow:
      return TakeLines(ArrowToJson(name));
    case Container::kText:
      RefuseUnnamedCsv(WithoutMark(content, name), name);
      rows_ = CutRows(content, name);
  }
}

void RowFile::TakeLines(JsonLines lines) {
  text_ = std::move(lines.text);
  rows_ = CutLines(text_);
  CHECK(rows_.size() == lines.source.size());
  for (size_t i = 0; i < rows_.size(); ++i) rows_[i].line = lines.source[i];
}

}  // namespace lorikeet
