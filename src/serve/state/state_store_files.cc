// The files of a StateStore.
#include <fmt/core.h>

#include <ctime>
#include <filesystem>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "serve/state/database.h"
#include "serve/state/paging.h"
#include "serve/state/rows.h"
#include "serve/state/state_store.h"

namespace lorikeet {
namespace {

constexpr size_t kMaxFilename = 1024, kMaxPurpose = 64, kMaxOwner = 128;

// If it fails, the next server on the folder removes it.
void RemoveContent(const std::string& path) {
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
}

}  // namespace

BlobWriter StateStore::NewBlob() const { return BlobWriter(FilesDir()); }

StoredFile StateStore::AddFile(BlobWriter blob, StoredFile file) {
  CheckText("filename", file.filename, kMaxFilename);
  CheckText("purpose", file.purpose, kMaxPurpose);
  if (!file.owner.empty()) CheckText("owner", file.owner, kMaxOwner);
  file.id = blob.id();
  file.bytes = blob.bytes();
  file.crc32c = blob.crc32c();
  if (file.created_at == 0) file.created_at = std::time(nullptr);
  try {
    blob.Finish();
    const std::lock_guard lock(mutex_);
    database_->Run(
        "INSERT INTO files(id, filename, purpose, bytes, crc32c, created_at, expires_at, status, "
        "status_details, owner) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        {file.id, file.filename, file.purpose, file.bytes, int64_t{file.crc32c}, file.created_at,
         file.expires_at, NameOf(file.status), file.status_details, file.owner});
  } catch (...) {
    RemoveContent(FilePath(file.id));
    throw;
  }
  return file;
}

std::optional<StoredFile> StateStore::GetFile(std::string_view id) const {
  if (!IsId(IdKind::kFile, id)) return std::nullopt;
  const std::lock_guard lock(mutex_);
  Statement row =
      database_->Query(fmt::format("SELECT {} FROM files WHERE id = ?", kFileColumns), {id});
  if (!row.Next()) return std::nullopt;
  return ReadFileRow(row);
}

Page<StoredFile> StateStore::ListFiles(const PageRequest& request,
                                       const std::optional<std::string>& purpose,
                                       const std::optional<std::string>& owner) const {
  ListSource source{.table = "files", .columns = kFileColumns, .noun = "file"};
  if (purpose) {
    source.condition += " AND purpose = ?";
    source.values.emplace_back(*purpose);
  }
  if (owner) {
    source.condition += " AND owner = ?";
    source.values.emplace_back(*owner);
  }
  const std::lock_guard lock(mutex_);
  return ReadPage(*database_, source, request, ReadFileRow);
}

bool StateStore::SetFileStatus(std::string_view id, FileStatus status,
                               const std::optional<std::string>& details) {
  const std::lock_guard lock(mutex_);
  return database_->Run("UPDATE files SET status = ?, status_details = ? WHERE id = ?",
                        {NameOf(status), details, id}) > 0;
}

bool StateStore::DeleteFile(std::string_view id) {
  if (!IsId(IdKind::kFile, id)) return false;
  const std::lock_guard lock(mutex_);
  if (database_->Run("DELETE FROM files WHERE id = ?", {id}) == 0) return false;
  RemoveContent(FilePath(id));
  return true;
}

int64_t StateStore::DeleteExpiredFiles(int64_t now) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> ids;
  for (Statement rows =
           database_->Query("DELETE FROM files WHERE expires_at <= ? RETURNING id", {now});
       rows.Next();) {
    ids.push_back(rows.Text());
  }
  for (const std::string& id : ids) RemoveContent(FilePath(id));
  return static_cast<int64_t>(ids.size());
}

Blob StateStore::OpenBlob(std::string_view id) const { return Blob(FilesDir(), id); }
std::string StateStore::FilePath(std::string_view id) const { return BlobPath(FilesDir(), id); }

}  // namespace lorikeet
