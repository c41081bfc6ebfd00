#include "serve/state/database.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <functional>

#include "core/error.h"
#include "core/file.h"
#include "core/temporary_folder_for_test.h"

namespace lorikeet {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::string_view kPairs = "CREATE TABLE pairs(k TEXT PRIMARY KEY, v INTEGER) STRICT";

// Code and message of the Error that `call` throws; fails the test if there is none.
std::pair<ErrorCode, std::string> ErrorOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
    return {error.code(), error.what()};
  }
  ADD_FAILURE() << "no error";
  return {ErrorCode::kInvalidArgument, ""};
}

class DatabaseTest : public ::testing::Test {
 protected:
  Database Open() { return Database(path_); }
  TemporaryFolder folder_{"database"};
  const std::string path_ = folder_ / "state.sqlite";
};

TEST_F(DatabaseTest, ValuesComeBackAsTheyWere) {
  Database database = Open();
  database.Migrate(std::array{kPairs});
  const std::string odd("a\0b'; DROP TABLE pairs; --", 26);
  EXPECT_EQ(database.Run("INSERT INTO pairs VALUES (?, ?), (?, ?)",
                         {odd, INT64_MIN, "none", std::optional<int64_t>()}),
            2);
  Statement rows = database.Query("SELECT v, k, v FROM pairs ORDER BY rowid");
  ASSERT_TRUE(rows.Next());
  EXPECT_EQ(rows.Int(), INT64_MIN);
  EXPECT_EQ(rows.Text(), odd);
  EXPECT_EQ(rows.OptionalInt(), INT64_MIN);
  ASSERT_TRUE(rows.Next());
  EXPECT_EQ(rows.OptionalText(), std::nullopt);
  EXPECT_EQ(rows.Text(), "none");
  EXPECT_EQ(rows.OptionalInt(), std::nullopt);
  EXPECT_FALSE(rows.Next());
}

// The settings on which durability rests.
TEST_F(DatabaseTest, SyncsALogAtEveryCommit) {
  Database database = Open();
  const auto setting = [&](const char* name) {
    Statement row = database.Query(std::string("PRAGMA ") + name);
    return row.Next() ? row.Text() : "";
  };
  EXPECT_EQ(setting("journal_mode"), "wal");
  EXPECT_EQ(setting("synchronous"), "2");  // FULL
  EXPECT_EQ(setting("foreign_keys"), "1");
  EXPECT_EQ(setting("busy_timeout"), "5000");
}

TEST_F(DatabaseTest, IsForThisUserAlone) {
  Database database = Open();
  database.Migrate(std::array{kPairs});
  for (const char* end : {"", "-wal", "-shm"}) {
    struct stat info {};
    ASSERT_EQ(stat((path_ + end).c_str(), &info), 0) << end;
    EXPECT_EQ(info.st_mode & 0777, 0600u) << end;
  }
}

TEST_F(DatabaseTest, TransactionsAreAllOrNothing) {
  Database database = Open();
  database.Migrate(std::array{kPairs});
  {
    Transaction transaction(database);
    database.Run("INSERT INTO pairs VALUES ('a', 1)");
    transaction.Commit();
  }
  {
    const Transaction given_up(database);
    database.Run("INSERT INTO pairs VALUES ('b', 2)");
  }
  Statement count = database.Query("SELECT count(*) FROM pairs");
  ASSERT_TRUE(count.Next());
  EXPECT_EQ(count.Int(), 1);
}

TEST_F(DatabaseTest, MigrationsRunOnceAndInOrder) {
  constexpr std::string_view kNext = "ALTER TABLE pairs ADD COLUMN w INTEGER NOT NULL DEFAULT 7";
  {
    Database database = Open();
    database.Migrate(std::array{kPairs});
    EXPECT_EQ(database.SchemaVersion(), 1);
    database.Run("INSERT INTO pairs VALUES ('a', 1)");
  }
  Database database = Open();
  database.Migrate(std::array{kPairs, kNext});
  database.Migrate(std::array{kPairs, kNext});
  EXPECT_EQ(database.SchemaVersion(), 2);
  Statement row = database.Query("SELECT v + w FROM pairs");
  ASSERT_TRUE(row.Next());
  EXPECT_EQ(row.Int(), 8);
}

TEST_F(DatabaseTest, AMigrationThatFailsChangesNothing) {
  constexpr std::string_view kBroken = "CREATE TABLE half(a) STRICT; nonsense";
  constexpr std::string_view kHalf =
      "CREATE TABLE half(a INTEGER) STRICT; INSERT INTO nowhere "
      "VALUES (1)";
  for (const std::string_view broken : {kBroken, kHalf}) {
    Database database = Open();
    EXPECT_THROW(database.Migrate(std::array{kPairs, broken}), Error);
    EXPECT_EQ(database.SchemaVersion(), 1);
    EXPECT_FALSE(database.Query("SELECT 1 FROM sqlite_schema WHERE name = 'half'").Next());
  }
}

TEST_F(DatabaseTest, ANewerSchemaIsRefused) {
  Open().RunAll("PRAGMA user_version = 9");
  Database database = Open();
  const auto [code, message] = ErrorOf([&] { database.Migrate(std::array{kPairs}); });
  EXPECT_EQ(code, ErrorCode::kUnsupported);
  EXPECT_THAT(message, AllOf(StartsWith(path_ + ": "), HasSubstr("schema 9"),
                             HasSubstr("reads up to 1"), HasSubstr("use that version")));
}

TEST_F(DatabaseTest, AnotherProgramsDatabaseIsRefused) {
  Open().RunAll("CREATE TABLE theirs(a)");
  Database database = Open();
  const auto [code, message] = ErrorOf([&] { database.Migrate(std::array{kPairs}); });
  EXPECT_EQ(code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(message, HasSubstr("another program"));
}

TEST_F(DatabaseTest, AFullDiskIsOneLineAndChangesNothing) {
  Database database = Open();
  database.Migrate(std::array{kPairs});
  database.Run("INSERT INTO pairs VALUES ('first', 1)");
  database.RunAll("PRAGMA max_page_count = 6");
  const std::string large(50'000, 'x');
  const auto [code, message] = ErrorOf([&] {
    Transaction transaction(database);
    database.Run("INSERT INTO pairs VALUES ('second', 2)");
    database.Run("INSERT INTO pairs VALUES (?, 3)", {large});
    transaction.Commit();
  });
  EXPECT_EQ(code, ErrorCode::kIo);
  EXPECT_THAT(message, AllOf(StartsWith(path_ + ": disk full"), HasSubstr("free some space")));
  Statement rows = database.Query("SELECT count(*), min(k) FROM pairs");
  ASSERT_TRUE(rows.Next());
  EXPECT_EQ(rows.Int(), 1);
  EXPECT_EQ(rows.Text(), "first");
  database.RunAll("PRAGMA max_page_count = 1000");
  EXPECT_EQ(database.Run("INSERT INTO pairs VALUES (?, 3)", {large}), 1);
}

TEST_F(DatabaseTest, AFileThatIsNoDatabaseIsRefused) {
  std::ofstream(path_) << std::string(8192, 'x');
  const auto [code, message] = ErrorOf([&] { Open(); });
  EXPECT_EQ(code, ErrorCode::kCorruptFile);
  EXPECT_THAT(message, AllOf(StartsWith(path_ + ": damaged, or not a database"),
                             HasSubstr("restore its folder")));
}

TEST_F(DatabaseTest, DamageInTheMiddleIsFoundOnOpening) {
  {
    Database database = Open();
    database.Migrate(std::array{kPairs});
    Transaction transaction(database);
    for (int64_t i = 0; i < 5000; ++i) {
      database.Run("INSERT INTO pairs VALUES (?, ?)", {"key " + std::to_string(i), i});
    }
    transaction.Commit();
  }
  const std::string whole = ReadFile(path_);
  ASSERT_GT(whole.size(), 20u * 4096u);
  std::string damaged = whole;
  damaged.replace(size_t{10} * 4096, 2048, std::string(2048, '\xff'));
  WriteFileAtomically(path_, damaged);
  EXPECT_EQ(ErrorOf([&] { Open(); }).first, ErrorCode::kCorruptFile);
  WriteFileAtomically(path_, std::string_view(whole).substr(0, whole.size() / 2));
  EXPECT_EQ(ErrorOf([&] { Open(); }).first, ErrorCode::kCorruptFile);
  WriteFileAtomically(path_, whole);
  Open();
}

TEST_F(DatabaseTest, ALinkIsNotFollowed) {
  { Database elsewhere(folder_ / "elsewhere"); }
  std::filesystem::create_symlink(folder_ / "elsewhere", path_);
  const auto [code, message] = ErrorOf([&] { Open(); });
  EXPECT_EQ(code, ErrorCode::kIo);
  EXPECT_THAT(message, HasSubstr("symbolic link"));
}

TEST_F(DatabaseTest, AFolderThatIsMissingIsNamed) {
  const auto [code, message] = ErrorOf([&] { Database database(folder_ / "none/state.sqlite"); });
  EXPECT_EQ(code, ErrorCode::kIo);
  EXPECT_THAT(message, HasSubstr("none/state.sqlite: cannot open for writing"));
}

TEST_F(DatabaseTest, AnotherProgramsLockIsOneLine) {
  Database database = Open(), other = Open();
  database.Migrate(std::array{kPairs});
  const Transaction theirs(other);
  database.RunAll("PRAGMA busy_timeout = 1");
  const auto [code, message] = ErrorOf([&] { database.Run("INSERT INTO pairs VALUES ('a', 1)"); });
  EXPECT_EQ(code, ErrorCode::kIo);
  EXPECT_THAT(message, AllOf(StartsWith(path_), HasSubstr("locked by another program")));
}

}  // namespace
}  // namespace lorikeet
