// A `StoredJob` and the other records of a server's state: files, fine-tuning jobs, their events
// and checkpoints, and adapters. Fields are those of OpenAI's API where it has them. Times are Unix
// seconds.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace lorikeet {

enum class FileStatus : uint8_t { kUploaded, kProcessed, kError };
enum class JobStatus : uint8_t {
  kValidatingFiles,
  kQueued,
  kRunning,
  kPaused,
  kSucceeded,
  kFailed,
  kCancelled,
};
enum class EventLevel : uint8_t { kInfo, kWarn, kError };
enum class EventType : uint8_t { kMessage, kMetrics };

// Names in the API and in the database: "validating_files", "info", ...
std::string_view NameOf(FileStatus status);
std::string_view NameOf(JobStatus status);
std::string_view NameOf(EventLevel level);
std::string_view NameOf(EventType type);
// The value of that name. `where` names the source in errors. Throws Error(kCorruptFile).
FileStatus FileStatusNamed(std::string_view name, const std::string& where);
JobStatus JobStatusNamed(std::string_view name, const std::string& where);
EventLevel EventLevelNamed(std::string_view name, const std::string& where);
EventType EventTypeNamed(std::string_view name, const std::string& where);

// Whether a job of that status has ended: succeeded, failed or cancelled.
bool HasEnded(JobStatus status);

struct StoredFile {
  std::string id;        // "file-..."
  std::string filename;  // given by the client; never part of a path
  std::string purpose;
  int64_t bytes = 0;
  uint32_t crc32c = 0;     // checksum of the content (core/checksum.h)
  int64_t created_at = 0;  // 0 when added: now
  std::optional<int64_t> expires_at;
  // kError with details while the content is missing from the folder, whatever is stored.
  FileStatus status = FileStatus::kUploaded;
  std::optional<std::string> status_details;
  std::string owner;  // id of the API key that added it; empty without keys
};

struct JobError {
  std::string code, message;
  std::optional<std::string> param;
};

struct StoredJob {
  std::string id;          // "ftjob-..."; made by the store
  int64_t created_at = 0;  // 0 when added: now
  std::optional<int64_t> finished_at, estimated_finish;
  JobStatus status = JobStatus::kValidatingFiles;
  std::string model;
  std::optional<std::string> fine_tuned_model, suffix;
  std::string training_file;
  std::optional<std::string> validation_file;
  Json hyperparameters, method;  // objects or null
  int64_t seed = 0;
  std::optional<int64_t> trained_tokens;
  std::optional<JobError> error;
  std::vector<std::string> result_files;  // ids of files
  Json metadata;                          // an object of strings, or null
  Json integrations;                      // an array or null
  Json settings;                          // the resolved settings of the run, or null
  std::string owner;                      // id of the API key that created it; empty without keys
};

struct JobEvent {
  std::string id;   // "ftevent-..."; made by the store
  std::string job;  // id
  int64_t created_at = 0;
  EventLevel level = EventLevel::kInfo;
  EventType type = EventType::kMessage;
  std::string message;
  Json data;  // an object or null
};

struct JobCheckpoint {
  std::string id;   // "ftckpt-..."; made by the store unless given
  std::string job;  // id
  int64_t created_at = 0;
  int64_t step_number = 0;
  std::string fine_tuned_model_checkpoint;  // name of an adapter
  Json metrics;
};

struct StoredAdapter {
  std::string name;  // unique: an alias or "ft:BASE:SUFFIX:ID"
  // Its folder. One below the folder of the state is stored relative to it, so that the whole can
  // be moved.
  std::string path;
  std::string base;  // model
  int64_t rank = 0;
  int64_t created_at = 0;
  std::optional<std::string> job;  // id of the job that made it
};

// What becomes known of a job while it runs. Absent fields keep their value.
struct JobUpdate {
  std::optional<std::string> fine_tuned_model;
  std::optional<int64_t> trained_tokens, estimated_finish;
  std::optional<JobError> error;
  std::optional<std::vector<std::string>> result_files;
  std::optional<Json> hyperparameters, method, settings;
  std::vector<JobEvent> events;         // added with the update, as all or nothing
  std::vector<StoredAdapter> adapters;  // the same
};

struct JobFilter {
  std::optional<std::string> owner;
  std::vector<std::pair<std::string, std::string>> metadata;  // keys with the values they must have
  bool without_metadata = false;                              // only jobs whose metadata is null
};

// A page of a list: the objects after the one named `after`, in the order in which they were added
// or in the opposite one.
struct PageRequest {
  std::string after;   // id (name of an adapter); empty: from the beginning
  int64_t limit = 20;  // 1 to 10,000
  bool ascending = false;
};

template <class T>
struct Page {
  std::vector<T> data;
  bool has_more = false;
};

}  // namespace lorikeet
