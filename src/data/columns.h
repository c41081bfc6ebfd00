// A `ColumnMap` says which columns of a data file are taken for the keys of a format.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace lorikeet {

class ColumnMap {
 public:
  ColumnMap() = default;
  // From "prompt=instruction", "completion=response", ...: the name that a format uses, then the
  // file's. Throws Error for a name that no format uses, and for one that occurs twice.
  explicit ColumnMap(const std::vector<std::string>& items);

  bool empty() const { return row_.empty() && message_.empty(); }
  // Columns of rows, and keys of their messages: from the format's name to the file's.
  const std::map<std::string, std::string>& row() const { return row_; }
  const std::map<std::string, std::string>& message() const { return message_; }
  bool Maps(std::string_view name) const { return row_.contains(std::string(name)); }
  // Whether a column is named that makes a row one of a format ("prompt", not "system").
  bool NamesAFormat() const;

 private:
  std::map<std::string, std::string> row_, message_;
};

// Whether rows must have the column: those of "system", "input" and the like may lack it.
bool IsRequiredColumn(std::string_view name);

}  // namespace lorikeet
