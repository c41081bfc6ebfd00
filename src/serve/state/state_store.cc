#include "serve/state/state_store.h"

#include <fmt/core.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <unordered_set>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "serve/state/database.h"
#include "serve/state/paging.h"
#include "serve/state/rows.h"
#include "serve/state/schema.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxAdapterName = 512, kMaxPath = 4096;

// Only this user may look into it. The mode of a folder that exists is left as it is.
void CreatePrivateFolder(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return;
  CreateFolders(path.parent_path().string());
  if (mkdir(path.c_str(), 0700) != 0) {
    Fail(ErrorCode::kIo, "{}: cannot create this folder: {}", path.string(), std::strerror(errno));
  }
  SyncPath(path.parent_path().string());
}

std::string WholePath(const std::string& dir) {
  fs::path path = fs::absolute(dir).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // a slash at its end
  return path.string();
}

FolderLock CreateAndLock(const std::string& dir) {
  CreatePrivateFolder(dir);
  FolderLock lock(dir);
  if (!lock.held()) {
    Fail(ErrorCode::kIo, "{}: {} is serving from it; stop that server, or choose another folder",
         dir, lock.holder());
  }
  return lock;
}

// Whether the content of a file is where it belongs, with its size.
bool HasContent(const std::string& path, int64_t bytes) {
  struct stat info {};
  return lstat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && info.st_size == bytes;
}

}  // namespace

StateStore::StateStore(const std::string& dir) : dir_(WholePath(dir)), lock_(CreateAndLock(dir_)) {
  for (const char* name : {"files", "jobs", "adapters"}) CreatePrivateFolder(dir_ + "/" + name);
  database_ = std::make_unique<Database>(dir_ + "/state.sqlite");
  const bool created = database_->SchemaVersion() == 0;
  database_->Migrate(StateMigrations());
  SyncPath(dir_);  // the name of a new database
  RemoveLeftovers(created);
  MarkMissingFiles();
}

StateStore::~StateStore() = default;

// A kill leaves temporary content, and content that was renamed before its file was added. If the
// database itself is new, such content is all that is left of an earlier one: it stays.
void StateStore::RemoveLeftovers(bool created) {
  std::unordered_set<std::string> ids;
  for (Statement rows = database_->Query("SELECT id FROM files"); rows.Next();) {
    ids.insert(rows.Text());
  }
  std::error_code error;
  for (fs::directory_iterator it(FilesDir(), error), end; !error && it != end;
       it.increment(error)) {
    std::string name = it->path().filename().string();
    const bool temporary = name.ends_with(".tmp");
    const std::string id = temporary ? name.substr(0, name.size() - 4) : name;
    if (!IsId(IdKind::kFile, id) || (!temporary && ids.contains(id))) continue;
    if (!temporary && created) {
      findings_.push_back(
          fmt::format("{}: content of no file that the new database knows; left as it is",
                      it->path().string()));
      continue;
    }
    std::error_code failed;
    fs::remove(it->path(), failed);
    findings_.push_back(
        failed ? fmt::format("{}: left by a server that was killed; cannot remove: {}",
                             it->path().string(), failed.message())
               : fmt::format("{}: left by a server that was killed; removed", it->path().string()));
  }
  if (error) Fail(ErrorCode::kIo, "{}: cannot list: {}", FilesDir(), error.message());
}

void StateStore::MarkMissingFiles() {
  std::vector<std::pair<std::string, bool>> changed;
  Statement rows = database_->Query("SELECT id, filename, bytes, missing FROM files ORDER BY seq");
  while (rows.Next()) {
    const std::string id = rows.Text(), filename = rows.Text();
    const bool missing = !HasContent(BlobPath(FilesDir(), id), rows.Int());
    if (missing) {
      findings_.push_back(
          fmt::format("{}/{}: content of file {} is missing or incomplete; restore it", FilesDir(),
                      id, Quoted(filename)));
    }
    if (missing != (rows.Int() != 0)) changed.emplace_back(id, missing);
  }
  if (changed.empty()) return;
  Transaction transaction(*database_);
  for (const auto& [id, missing] : changed) {
    database_->Run("UPDATE files SET missing = ? WHERE id = ?", {int64_t{missing}, id});
  }
  transaction.Commit();
}

std::string StateStore::JobDir(std::string_view id) const {
  if (!IsId(IdKind::kJob, id)) {
    Fail(ErrorCode::kNotFound, "job {}: does not exist; list the jobs for their ids", Quoted(id));
  }
  return dir_ + "/jobs/" + std::string(id);
}

std::string StateStore::AdapterDir(std::string_view id) const {
  if (!IsId(IdKind::kJob, id) && !IsId(IdKind::kCheckpoint, id)) {
    Fail(ErrorCode::kNotFound, "adapter of {}: no such job or checkpoint", Quoted(id));
  }
  return dir_ + "/adapters/" + std::string(id);
}

// Adapters.

StoredAdapter StateStore::WithWholePath(StoredAdapter adapter) const {
  if (!adapter.path.starts_with('/')) adapter.path = dir_ + "/" + adapter.path;
  return adapter;
}

StoredAdapter StateStore::InsertAdapter(StoredAdapter adapter) {
  CheckText("name of the adapter", adapter.name, kMaxAdapterName);
  CheckText("folder of the adapter", adapter.path, kMaxPath);
  if (adapter.created_at == 0) adapter.created_at = std::time(nullptr);
  adapter.path = WholePath(adapter.path);
  const std::string inside = dir_ + "/";
  const std::string path =
      adapter.path.starts_with(inside) ? adapter.path.substr(inside.size()) : adapter.path;
  const int64_t added = database_->Run(
      "INSERT INTO adapters(name, path, base, rank, created_at, job) VALUES (?, ?, ?, ?, ?, "
      "(SELECT "
      "seq FROM jobs WHERE id = ?)) ON CONFLICT(name) DO NOTHING",
      {adapter.name, path, adapter.base, adapter.rank, adapter.created_at, adapter.job});
  if (added == 0) {
    Fail(ErrorCode::kInvalidArgument,
         "adapter {}: the name is taken; choose another name or delete that adapter",
         Quoted(adapter.name));
  }
  return adapter;
}

StoredAdapter StateStore::AddAdapter(StoredAdapter adapter) {
  const std::lock_guard lock(mutex_);
  return InsertAdapter(std::move(adapter));
}

std::optional<StoredAdapter> StateStore::GetAdapter(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  Statement row = database_->Query(
      fmt::format("SELECT {} FROM adapters WHERE name = ?", kAdapterColumns), {name});
  if (!row.Next()) return std::nullopt;
  return WithWholePath(ReadAdapterRow(row));
}

Page<StoredAdapter> StateStore::ListAdapters(const PageRequest& request) const {
  const std::lock_guard lock(mutex_);
  const ListSource source{
      .table = "adapters", .columns = kAdapterColumns, .noun = "adapter", .key = "name"};
  Page<StoredAdapter> page = ReadPage(*database_, source, request, ReadAdapterRow);
  for (StoredAdapter& adapter : page.data) adapter = WithWholePath(std::move(adapter));
  return page;
}

bool StateStore::DeleteAdapter(std::string_view name) {
  const std::lock_guard lock(mutex_);
  return database_->Run("DELETE FROM adapters WHERE name = ?", {name}) > 0;
}

}  // namespace lorikeet
