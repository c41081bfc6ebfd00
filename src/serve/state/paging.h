// A `ListSource` is the table and the condition that a list of objects comes from; `ReadPage` reads
// a page of it. A cursor is the row of the object that it names: rows that are added or removed
// during a walk never make it skip or repeat one.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "serve/state/database.h"
#include "serve/state/records.h"

namespace lorikeet {

struct ListSource {
  std::string_view table;
  std::string_view columns;
  std::string_view noun;         // for messages: "file"
  std::string_view key = "id";   // column that `after` names
  std::string condition = "1";   // SQL; for a cursor too
  std::vector<SqlValue> values;  // for its parameters
};

// Rows of the page and one more if there are more. Throws Error(kNotFound) if `request.after` is
// not in the list, kInvalidArgument for a limit out of range.
Statement QueryPage(Database& database, const ListSource& source, const PageRequest& request);

template <class T>
Page<T> ReadPage(Database& database, const ListSource& source, const PageRequest& request,
                 T (*read)(Statement&)) {
  Statement rows = QueryPage(database, source, request);
  Page<T> page;
  while (rows.Next()) {
    page.has_more = static_cast<int64_t>(page.data.size()) == request.limit;
    if (!page.has_more) page.data.push_back(read(rows));
  }
  return page;
}

}  // namespace lorikeet
