// A `RowFile` is a JSONL file, or one JSON array, split into rows without parsing or copying: the
// file stays mapped, and a row is a view of it with its line number.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/file.h"

namespace lorikeet {

struct Row {
  std::string_view text;  // one JSON value, white space around it removed
  int64_t line = 0;       // its first line, counted from 1
};

// Splits `content` into rows: the elements of the array if it is one, else its non-blank lines. An
// array of messages ("role" and "content") is one row. A byte order mark and CRLF are accepted.
// Throws Error naming `name` and the line for an array that does not close. The rows point into
// `content`.
std::vector<Row> CutRows(std::string_view content, const std::string& name);

class RowFile {
 public:
  // Throws Error naming `path` if it cannot be read or has no rows.
  explicit RowFile(const std::string& path);
  std::span<const Row> rows() const { return rows_; }
  const std::string& path() const { return file_.path(); }

 private:
  MappedFile file_;
  std::vector<Row> rows_;
};

}  // namespace lorikeet
