#include "serve/state/paging.h"

#include <fmt/core.h>

#include "core/error.h"
#include "core/text.h"

namespace lorikeet {
namespace {

constexpr int64_t kMaxLimit = 10'000;

int64_t CursorRow(Database& database, const ListSource& source, const std::string& after) {
  std::vector<SqlValue> values = source.values;
  values.emplace_back(after);
  Statement row = database.Query(fmt::format("SELECT seq FROM {} WHERE ({}) AND {} = ?",
                                             source.table, source.condition, source.key),
                                 values);
  if (!row.Next()) {
    Fail(ErrorCode::kNotFound, "after: no {} {} in this list; start without it", source.noun,
         Quoted(after));
  }
  return row.Int();
}

}  // namespace

Statement QueryPage(Database& database, const ListSource& source, const PageRequest& request) {
  if (request.limit < 1 || request.limit > kMaxLimit) {
    Fail(ErrorCode::kInvalidArgument, "limit: must be 1 to {}, got {}", kMaxLimit, request.limit);
  }
  std::vector<SqlValue> values = source.values;
  std::string cursor;
  if (!request.after.empty()) {
    cursor = request.ascending ? " AND seq > ?" : " AND seq < ?";
    values.emplace_back(CursorRow(database, source, request.after));
  }
  values.emplace_back(request.limit + 1);
  return database.Query(
      fmt::format("SELECT {} FROM {} WHERE ({}){} ORDER BY seq {} LIMIT ?", source.columns,
                  source.table, source.condition, cursor, request.ascending ? "ASC" : "DESC"),
      values);
}

}  // namespace lorikeet
