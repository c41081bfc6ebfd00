// A `RowFile` is a data file split into rows, each the text of one JSON value with its line number.
// JSONL files and JSON arrays stay mapped and are not copied; other containers (gzip, zstd, CSV,
// TSV, Parquet, Arrow; data/container.h) are converted in memory.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/file.h"
#include "data/csv.h"

namespace lorikeet {

// `text` without JSON's white space around it: blanks, tabs and line ends.
std::string_view TrimJsonSpace(std::string_view text);

struct Row {
  std::string_view text;  // one JSON value, white space around it removed
  int64_t line = 0;       // its first line, counted from 1
};

// Splits `content` into rows: the elements of the array if it is one, else its non-blank lines. An
// array of messages ("role" and "content") is one row. An object around the array, {"data": [...]},
// is left out (its key may also be rows, train, examples or instances). A byte order mark and CRLF
// are accepted. Throws Error naming `name` and the line for an array that does not close. The rows
// point into `content`.
std::vector<Row> CutRows(std::string_view content, const std::string& name);

class RowFile {
 public:
  // `path`: a file, or a folder that `datasets` saved. Throws Error naming `path` if it cannot be
  // read, has no rows, or is in a container that is not read.
  explicit RowFile(const std::string& path);
  RowFile(const RowFile&) = delete;  // rows_ may point into text_
  RowFile& operator=(const RowFile&) = delete;
  std::span<const Row> rows() const { return rows_; }
  const std::string& path() const { return path_; }

 private:
  void Read(std::string_view content, const std::string& name);
  void TakeLines(JsonLines lines);

  std::string path_;
  MappedFile file_;
  std::string text_;  // what was unpacked or converted
  std::vector<Row> rows_;
};

}  // namespace lorikeet
