// A `Database` is an open SQLite file whose committed changes survive a killed process and a power
// cut: a write-ahead log that is synced at every commit. Errors are one line that names the file.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

struct sqlite3;
struct sqlite3_stmt;

namespace lorikeet {

// A value for a parameter of a statement: null, an integer or a text.
class SqlValue {
 public:
  // NOLINTBEGIN(google-explicit-constructor): lists of values mix their types.
  SqlValue(std::nullptr_t /*null*/) {}
  SqlValue(int64_t value) : value_(value) {}
  SqlValue(std::string_view text) : value_(std::string(text)) {}
  SqlValue(const std::string& text) : value_(text) {}
  SqlValue(const char* text) : value_(std::string(text)) {}
  template <class T>
  SqlValue(const std::optional<T>& value) {
    if (value) *this = SqlValue(*value);
  }
  // NOLINTEND(google-explicit-constructor)
  const std::variant<std::monostate, int64_t, std::string>& value() const { return value_; }

 private:
  std::variant<std::monostate, int64_t, std::string> value_;
};

class Database;

// A prepared statement with its values. It must not outlive its database.
class Statement {
 public:
  // Moves to the next row; false after the last. Throws Error, see Database.
  bool Next();
  // Value of the next column of the row, from the first. A null or a value of another type is an
  // empty text or 0.
  int64_t Int();
  std::string Text();
  std::optional<int64_t> OptionalInt();  // nullopt: null
  std::optional<std::string> OptionalText();
  // Path of the database, for messages.
  const std::string& where() const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  Statement(const Database* database, sqlite3_stmt* statement)
      : database_(database), statement_(statement) {}

  const Database* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int column_ = 0;
};

// For one thread at a time. What can go wrong at any statement: Error(kIo) when the disk is full,
// the file is read-only, locked by another program, or cannot be read or written; kCorruptFile when
// it is damaged; kOutOfMemory. The statement, and the transaction around it, then changed nothing.
class Database {
 public:
  // Opens `path`, which is created readable for this user alone if it does not exist. Refuses a
  // symbolic link. Reads the whole file to see that it is sound.
  explicit Database(const std::string& path);
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Runs those of `migrations` that the file has not seen, each in a transaction: migration n (from
  // 1) makes version n of the schema from version n - 1. Throws Error(kUnsupported) if the file is
  // newer than the last one, kInvalidArgument if it is another program's database.
  void Migrate(std::span<const std::string_view> migrations);
  int64_t SchemaVersion();

  Statement Query(std::string_view sql, const std::vector<SqlValue>& values = {});
  // Runs a statement to its end. Returns the number of rows that an INSERT, UPDATE or DELETE
  // changed itself, without those that a foreign key removed.
  int64_t Run(std::string_view sql, const std::vector<SqlValue>& values = {});
  // Runs statements separated by semicolons.
  void RunAll(std::string_view sql);
  const std::string& path() const { return path_; }

 private:
  friend class Statement;
  friend class Transaction;
  struct Close {
    void operator()(sqlite3* connection) const;
  };
  [[noreturn]] void FailWith(int code) const;
  bool InTransaction() const;

  std::string path_;
  std::unique_ptr<sqlite3, Close> connection_;
};

// Changes that are stored together by Commit() or not at all.
class Transaction {
 public:
  explicit Transaction(Database& database);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  // They are on disk when it returns. If it throws, none is stored.
  void Commit();

 private:
  Database& database_;
};

}  // namespace lorikeet
