#include "serve/state/database.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/check.h"
#include "core/error.h"

namespace lorikeet {
namespace {

constexpr int kBusyMilliseconds = 5000;

// SQLite would follow a symbolic link and let others read the file.
void CreatePrivateFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) {
    Fail(ErrorCode::kIo, "{}: cannot open for writing: {}{}", path, std::strerror(errno),
         errno == ELOOP ? "; a symbolic link is not followed, put the file itself there"
                        : "; make it and its folder writable for this user");
  }
  close(fd);
}

int BindValue(sqlite3_stmt* statement, int place, const SqlValue& value) {
  if (const auto* number = std::get_if<int64_t>(&value.value())) {
    return sqlite3_bind_int64(statement, place, *number);
  }
  if (const auto* text = std::get_if<std::string>(&value.value())) {
    return sqlite3_bind_text64(statement, place, text->data(), text->size(), SQLITE_TRANSIENT,
                               SQLITE_UTF8);
  }
  return sqlite3_bind_null(statement, place);
}

[[noreturn]] void FailDamaged(const std::string& path, std::string_view what) {
  Fail(ErrorCode::kCorruptFile,
       "{}: damaged, or not a database ({}); restore its folder from a backup, or move it away to "
       "start with an empty one",
       path, what);
}

}  // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
void Database::Close::operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }

bool Statement::Next() {
  column_ = 0;
  errno = 0;
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) database_->FailWith(code);
  return false;
}

int64_t Statement::Int() { return sqlite3_column_int64(statement_.get(), column_++); }

std::string Statement::Text() {
  const int column = column_++;
  const auto* text = sqlite3_column_text(statement_.get(), column);
  const int bytes = sqlite3_column_bytes(statement_.get(), column);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text), static_cast<size_t>(bytes)};
}

std::optional<int64_t> Statement::OptionalInt() {
  if (sqlite3_column_type(statement_.get(), column_) != SQLITE_NULL) return Int();
  ++column_;
  return std::nullopt;
}

std::optional<std::string> Statement::OptionalText() {
  if (sqlite3_column_type(statement_.get(), column_) != SQLITE_NULL) return Text();
  ++column_;
  return std::nullopt;
}

const std::string& Statement::where() const { return database_->path(); }

Database::Database(const std::string& path) : path_(path) {
  CreatePrivateFile(path);
  sqlite3* connection = nullptr;
  errno = 0;
  // Without SQLite's own mutex: the caller lets in one thread at a time.
  const int code = sqlite3_open_v2(path.c_str(), &connection,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  connection_.reset(connection);
  if (code != SQLITE_OK) FailWith(code);
  sqlite3_extended_result_codes(connection, 1);
  sqlite3_busy_timeout(connection, kBusyMilliseconds);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  Statement mode = Query("PRAGMA journal_mode = WAL");
  const std::string got = mode.Next() ? mode.Text() : "";
  if (got != "wal") {
    Fail(ErrorCode::kIo,
         "{}: its file system has no shared memory for a write-ahead log (journal mode {}); choose "
         "a folder on a local disk",
         path, got);
  }
  RunAll("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;");
  Statement check = Query("PRAGMA quick_check(1)");
  const std::string verdict = check.Next() ? check.Text() : "";
  if (verdict != "ok") FailDamaged(path, verdict.substr(verdict.rfind('\n') + 1));
}

int64_t Database::SchemaVersion() {
  Statement version = Query("PRAGMA user_version");
  return version.Next() ? version.Int() : 0;
}

void Database::Migrate(std::span<const std::string_view> migrations) {
  const auto known = static_cast<int64_t>(migrations.size());
  const int64_t version = SchemaVersion();
  if (version > known || version < 0) {
    Fail(ErrorCode::kUnsupported,
         "{}: written by a newer version of this program (schema {}; this one reads up to {}); use "
         "that version, or another folder",
         path_, version, known);
  }
  if (version == 0 && Query("SELECT 1 FROM sqlite_schema").Next()) {
    Fail(ErrorCode::kInvalidArgument,
         "{}: a database of another program; choose another folder, or move the file away", path_);
  }
  for (int64_t next = version + 1; next <= known; ++next) {
    Transaction transaction(*this);
    RunAll(migrations[static_cast<size_t>(next - 1)]);
    Run(fmt::format("PRAGMA user_version = {}", next));
    transaction.Commit();
  }
}

Statement Database::Query(std::string_view sql, const std::vector<SqlValue>& values) {
  sqlite3_stmt* prepared = nullptr;
  errno = 0;
  const int code = sqlite3_prepare_v2(connection_.get(), sql.data(), static_cast<int>(sql.size()),
                                      &prepared, nullptr);
  Statement statement(this, prepared);
  if (code != SQLITE_OK) FailWith(code);
  CHECK(sqlite3_bind_parameter_count(prepared) == static_cast<int>(values.size()));
  int place = 0;
  for (const SqlValue& value : values) {
    const int bound = BindValue(prepared, ++place, value);
    if (bound != SQLITE_OK) FailWith(bound);
  }
  return statement;
}

int64_t Database::Run(std::string_view sql, const std::vector<SqlValue>& values) {
  Statement statement = Query(sql, values);
  while (statement.Next()) {
  }
  return sqlite3_changes64(connection_.get());
}

void Database::RunAll(std::string_view sql) {
  errno = 0;
  const int code =
      sqlite3_exec(connection_.get(), std::string(sql).c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) FailWith(code);
}

bool Database::InTransaction() const { return sqlite3_get_autocommit(connection_.get()) == 0; }

void Database::FailWith(int code) const {
  const int system = errno;  // sqlite3_system_errno() is not set by sqlite3_step()
  const char* text = connection_ ? sqlite3_errmsg(connection_.get()) : sqlite3_errstr(code);
  const char* reason = system != 0 ? std::strerror(system) : text;
  switch (code & 0xff) {
    case SQLITE_FULL:
      Fail(ErrorCode::kIo, "{}: disk full; nothing was stored; free some space and try again",
           path_);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
      Fail(ErrorCode::kIo, "{}: cannot write ({}); make it and its folder writable for this user",
           path_, reason);
    case SQLITE_IOERR:
      Fail(ErrorCode::kIo, "{}: cannot read or write ({}); nothing was stored; check the disk",
           path_, reason);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      Fail(ErrorCode::kIo, "{}: locked by another program; end that program and try again", path_);
    case SQLITE_NOMEM:
      Fail(ErrorCode::kOutOfMemory, "{}: not enough memory; nothing was stored", path_);
    default:
      FailDamaged(path_, text);
  }
}

Transaction::Transaction(Database& database) : database_(database) {
  database_.Run("BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
  if (!database_.InTransaction()) return;
  sqlite3_exec(database_.connection_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
}

void Transaction::Commit() { database_.Run("COMMIT"); }

}  // namespace lorikeet
