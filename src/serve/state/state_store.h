// A `StateStore` is what a server keeps in a folder: uploaded files, fine-tuning jobs with their
// events and checkpoints, and adapters. Whatever a call has stored when it returns survives a
// killed process and a power cut.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/folder_lock.h"
#include "serve/state/blob.h"
#include "serve/state/ids.h"
#include "serve/state/records.h"

namespace lorikeet {

class Database;

// The folder holds `state.sqlite` and the folders `files`, `jobs` and `adapters`, all for this user
// alone. Names that clients give are data only; paths are made of ids, which are checked first.
//
// Any number of threads: one connection behind a mutex. A commit waits for the disk, and calls of
// other threads wait with it; content of files is written and read outside the mutex.
//
// Besides what is named below all calls throw Error(kIo) when the disk is full, read-only or
// failing, kCorruptFile when the database is damaged. A call that throws has stored nothing.
// Unknown ids, and texts that are no ids, are treated alike.
class StateStore {
 public:
  // Creates the folder if it does not exist, takes its lock and removes what a killed server left
  // unfinished. Throws Error(kIo) naming the process that serves from the folder, kUnsupported if a
  // newer version of this program wrote it, kInvalidArgument if `state.sqlite` is not its database.
  explicit StateStore(const std::string& dir);
  ~StateStore();
  StateStore(const StateStore&) = delete;
  StateStore& operator=(const StateStore&) = delete;

  // Lines about what was found on opening, for the log: files whose content is missing, content
  // that belongs to no file, what was removed.
  const std::vector<std::string>& findings() const { return findings_; }

  // Files: write the content, then add the file that has it.
  BlobWriter NewBlob() const;
  // Takes name, purpose, status, expiry and owner from `file`, the rest from the blob. Throws
  // Error(kInvalidArgument) if a name or purpose is not a short line of text.
  StoredFile AddFile(BlobWriter blob, StoredFile file);
  std::optional<StoredFile> GetFile(std::string_view id) const;
  // Those with the purpose and the owner, if given. Throws Error(kNotFound) if `request.after` is
  // not in the list, kInvalidArgument for a limit out of range; so do all lists.
  Page<StoredFile> ListFiles(const PageRequest& request,
                             const std::optional<std::string>& purpose = {},
                             const std::optional<std::string>& owner = {}) const;
  bool SetFileStatus(std::string_view id, FileStatus status,
                     const std::optional<std::string>& details = {});
  bool DeleteFile(std::string_view id);             // false: it does not exist
  int64_t DeleteExpiredFiles(int64_t now);          // returns their number
  Blob OpenBlob(std::string_view id) const;         // throws as Blob does
  std::string FilePath(std::string_view id) const;  // throws Error(kNotFound) as BlobPath does

  // Jobs. AddJob makes the id, and the time unless it is given.
  StoredJob AddJob(StoredJob job);
  std::optional<StoredJob> GetJob(std::string_view id) const;
  Page<StoredJob> ListJobs(const PageRequest& request, const JobFilter& filter = {}) const;
  // Those that have not ended, in the order in which they were added: at the start of a server, the
  // jobs that the one before it left.
  std::vector<StoredJob> JobsToResume() const;
  // Moves a job to status `to` if its status is one of `from`, and then makes the update; false,
  // and nothing is changed, if it is not. Of many threads only one succeeds. Sets `finished_at`
  // when the job ends and clears it when it is started again. Throws Error(kInvalidArgument) if the
  // name of an adapter is taken. `estimated_finish` is that of the update, or none.
  bool Transition(std::string_view id, std::span<const JobStatus> from, JobStatus to,
                  const JobUpdate& update = {});
  bool Transition(std::string_view id, std::initializer_list<JobStatus> from, JobStatus to,
                  const JobUpdate& update = {});
  bool UpdateJob(std::string_view id, const JobUpdate& update);  // false: it does not exist
  // With its events and checkpoints; adapters stay, and so do folders. False: it does not exist.
  bool DeleteJob(std::string_view id);
  // Folder for a job's run, for the adapter of a job or of a checkpoint; not created here. Throw
  // Error(kNotFound) unless `id` has the form of such an id.
  std::string JobDir(std::string_view id) const;
  std::string AdapterDir(std::string_view id) const;

  // Events and checkpoints. Adding throws Error(kNotFound) if the job does not exist.
  JobEvent AddEvent(JobEvent event);
  void AddEvents(const std::vector<JobEvent>& events);  // all or none, with one wait for the disk
  Page<JobEvent> ListEvents(std::string_view job, const PageRequest& request) const;
  // With the adapter that it names, if given. A step that has a checkpoint keeps it, and that one
  // is returned: a job resumed from an earlier step makes the same checkpoints again.
  JobCheckpoint AddCheckpoint(JobCheckpoint checkpoint,
                              const std::optional<StoredAdapter>& adapter = {});
  Page<JobCheckpoint> ListCheckpoints(std::string_view job, const PageRequest& request) const;

  // Adapters. Adding throws Error(kInvalidArgument) if the name is taken or not a short line.
  StoredAdapter AddAdapter(StoredAdapter adapter);
  std::optional<StoredAdapter> GetAdapter(std::string_view name) const;
  Page<StoredAdapter> ListAdapters(const PageRequest& request) const;
  bool DeleteAdapter(std::string_view name);  // the row only; false: it does not exist

  const std::string& dir() const { return dir_; }

 private:
  std::string FilesDir() const { return dir_ + "/files"; }
  void RemoveLeftovers(bool created);
  void MarkMissingFiles();
  StoredAdapter WithWholePath(StoredAdapter adapter) const;
  // These need mutex_ locked and a transaction.
  JobEvent InsertEvent(JobEvent event);
  StoredAdapter InsertAdapter(StoredAdapter adapter);
  void InsertParts(std::string_view job, const JobUpdate& update);

  std::string dir_;
  FolderLock lock_;
  mutable std::mutex mutex_;
  std::unique_ptr<Database> database_;
  std::vector<std::string> findings_;
};

}  // namespace lorikeet
