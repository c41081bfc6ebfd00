// A `ColumnMap` says which columns of a data file are taken for the keys of a format.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace lorikeet {

// The rows whose columns are named.
enum class RowKind : uint8_t {
  kExamples,  // of data files (data/conversation.h)
  kProblems,  // of task files (verify/problem_file.h)
};

class ColumnMap {
 public:
  ColumnMap() = default;
  // From "prompt=instruction", "completion=response", ...: the name that a format uses, then the
  // file's. Throws Error for a name that no format of the kind uses, and for one that occurs twice.
  explicit ColumnMap(const std::vector<std::string>& items, RowKind kind = RowKind::kExamples);

  bool empty() const { return row_.empty() && message_.empty(); }
  // Columns of rows, and keys of their messages: from the format's name to the file's.
  const std::map<std::string, std::string>& row() const { return row_; }
  const std::map<std::string, std::string>& message() const { return message_; }
  bool Maps(std::string_view name) const { return row_.contains(std::string(name)); }
  // The file's name of a column; `name` itself if none is given.
  std::string ColumnOf(const std::string& name) const {
    const auto named = row_.find(name);
    return named == row_.end() ? name : named->second;
  }
  // The names within messages alone.
  ColumnMap OfMessages() const;
  // Whether a column is named that makes a row one of a format ("prompt", not "system").
  bool NamesAFormat() const;

 private:
  std::map<std::string, std::string> row_, message_;
};

// Whether rows must have the column: those of "system", "input" and the like may lack it.
bool IsRequiredColumn(std::string_view name);

}  // namespace lorikeet
