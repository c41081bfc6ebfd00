// The jobs, events and checkpoints of a StateStore.
#include <fmt/core.h>

#include <ctime>
#include <utility>

#include "core/error.h"
#include "core/text.h"
#include "serve/state/database.h"
#include "serve/state/paging.h"
#include "serve/state/rows.h"
#include "serve/state/state_store.h"

namespace lorikeet {
namespace {

constexpr size_t kMaxName = 512;

// What a JobUpdate changes besides `estimated_finish`; UpdateValues are its parameters.
constexpr std::string_view kUpdate =
    "fine_tuned_model = COALESCE(?, fine_tuned_model), trained_tokens = COALESCE(?, "
    "trained_tokens), error = COALESCE(?, error), result_files = COALESCE(?, "
    "result_files), hyperparameters = COALESCE(?, hyperparameters), method = COALESCE(?, method), "
    "settings = COALESCE(?, settings)";

SqlValue ValueOf(const std::optional<Json>& json) { return json ? JsonValue(*json) : nullptr; }

std::vector<SqlValue> UpdateValues(const JobUpdate& update) {
  return {update.fine_tuned_model,
          update.trained_tokens,
          ErrorValue(update.error),
          update.result_files ? JsonValue(*update.result_files) : nullptr,
          ValueOf(update.hyperparameters),
          ValueOf(update.method),
          ValueOf(update.settings)};
}

[[noreturn]] void FailNoJob(std::string_view id) {
  Fail(ErrorCode::kNotFound, "job {}: does not exist; list the jobs for their ids", Quoted(id));
}

void CheckNames(const StoredJob& job) {
  CheckText("model", job.model, kMaxName);
  CheckText("training_file", job.training_file, kMaxName);
  if (job.validation_file) CheckText("validation_file", *job.validation_file, kMaxName);
  if (job.suffix) CheckText("suffix", *job.suffix, kMaxName);
  if (!job.owner.empty()) CheckText("owner", job.owner, kMaxName);
}

ListSource SourceOf(const JobFilter& filter) {
  ListSource source{.table = "jobs", .columns = kJobColumns, .noun = "job"};
  if (filter.owner) {
    source.condition += " AND owner = ?";
    source.values.emplace_back(*filter.owner);
  }
  for (const auto& [key, value] : filter.metadata) {
    source.condition +=
        " AND EXISTS(SELECT 1 FROM json_each(metadata) WHERE key = ? AND value = ?)";
    source.values.emplace_back(key);
    source.values.emplace_back(value);
  }
  if (filter.without_metadata) source.condition += " AND metadata IS NULL";
  return source;
}

ListSource PartsOf(std::string_view table, std::string_view columns, std::string_view noun,
                   std::string_view job) {
  return {.table = table,
          .columns = columns,
          .noun = noun,
          .condition = "job = (SELECT seq FROM jobs WHERE id = ?)",
          .values = {job}};
}

}  // namespace

StoredJob StateStore::AddJob(StoredJob job) {
  CheckNames(job);
  job.id = NewId(IdKind::kJob);
  if (job.created_at == 0) job.created_at = std::time(nullptr);
  const std::lock_guard lock(mutex_);
  database_->Run(fmt::format("INSERT INTO jobs({}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                             "?, ?, ?, ?, ?, ?, ?)",
                             kJobColumns),
                 {job.id,
                  job.created_at,
                  job.finished_at,
                  job.estimated_finish,
                  NameOf(job.status),
                  job.model,
                  job.fine_tuned_model,
                  job.suffix,
                  job.training_file,
                  job.validation_file,
                  JsonValue(job.hyperparameters),
                  JsonValue(job.method),
                  job.seed,
                  job.trained_tokens,
                  ErrorValue(job.error),
                  JsonValue(job.result_files),
                  JsonValue(job.metadata),
                  JsonValue(job.integrations),
                  JsonValue(job.settings),
                  job.owner});
  return job;
}

std::optional<StoredJob> StateStore::GetJob(std::string_view id) const {
  if (!IsId(IdKind::kJob, id)) return std::nullopt;
  const std::lock_guard lock(mutex_);
  Statement row =
      database_->Query(fmt::format("SELECT {} FROM jobs WHERE id = ?", kJobColumns), {id});
  if (!row.Next()) return std::nullopt;
  return ReadJobRow(row);
}

Page<StoredJob> StateStore::ListJobs(const PageRequest& request, const JobFilter& filter) const {
  const ListSource source = SourceOf(filter);
  const std::lock_guard lock(mutex_);
  return ReadPage(*database_, source, request, ReadJobRow);
}

std::vector<StoredJob> StateStore::JobsToResume() const {
  const std::lock_guard lock(mutex_);
  std::vector<StoredJob> jobs;
  Statement rows = database_->Query(
      fmt::format("SELECT {} FROM jobs WHERE status NOT IN (?, ?, ?) ORDER BY seq", kJobColumns),
      {NameOf(JobStatus::kSucceeded), NameOf(JobStatus::kFailed), NameOf(JobStatus::kCancelled)});
  while (rows.Next()) jobs.push_back(ReadJobRow(rows));
  return jobs;
}

bool StateStore::Transition(std::string_view id, std::span<const JobStatus> from, JobStatus to,
                            const JobUpdate& update) {
  SqlValue finished = nullptr;
  if (HasEnded(to)) finished = int64_t{std::time(nullptr)};
  std::vector<SqlValue> values = UpdateValues(update);
  values.insert(values.end(), {NameOf(to), finished, update.estimated_finish, id});
  std::string places;
  for (const JobStatus status : from) {
    places += places.empty() ? "?" : ", ?";
    values.emplace_back(NameOf(status));
  }
  const std::lock_guard lock(mutex_);
  Transaction transaction(*database_);
  const int64_t changed =
      database_->Run(fmt::format("UPDATE jobs SET {}, status = ?, finished_at = ?, "
                                 "estimated_finish = ? WHERE id = ? AND status IN ({})",
                                 kUpdate, places),
                     values);
  if (changed == 0) return false;
  InsertParts(id, update);
  transaction.Commit();
  return true;
}

bool StateStore::Transition(std::string_view id, std::initializer_list<JobStatus> from,
                            JobStatus to, const JobUpdate& update) {
  return Transition(id, std::span(from.begin(), from.size()), to, update);
}

bool StateStore::UpdateJob(std::string_view id, const JobUpdate& update) {
  std::vector<SqlValue> values = UpdateValues(update);
  values.insert(values.end(), {update.estimated_finish, id});
  const std::lock_guard lock(mutex_);
  Transaction transaction(*database_);
  const int64_t changed = database_->Run(
      fmt::format(
          "UPDATE jobs SET {}, estimated_finish = COALESCE(?, estimated_finish) WHERE id = ?",
          kUpdate),
      values);
  if (changed == 0) return false;
  InsertParts(id, update);
  transaction.Commit();
  return true;
}

void StateStore::InsertParts(std::string_view job, const JobUpdate& update) {
  for (JobEvent event : update.events) {
    event.job = job;
    InsertEvent(std::move(event));
  }
  for (StoredAdapter adapter : update.adapters) {
    adapter.job = job;
    InsertAdapter(std::move(adapter));
  }
}

bool StateStore::DeleteJob(std::string_view id) {
  const std::lock_guard lock(mutex_);
  return database_->Run("DELETE FROM jobs WHERE id = ?", {id}) > 0;
}

JobEvent StateStore::InsertEvent(JobEvent event) {
  event.id = NewId(IdKind::kEvent);
  if (event.created_at == 0) event.created_at = std::time(nullptr);
  event.message = WithoutControls(event.message, "\n\t");
  const int64_t added = database_->Run(
      "INSERT INTO events(id, job, created_at, level, type, message, data) SELECT ?, seq, ?, ?, ?, "
      "?, ? FROM jobs WHERE id = ?",
      {event.id, event.created_at, NameOf(event.level), NameOf(event.type), event.message,
       JsonValue(event.data), event.job});
  if (added == 0) FailNoJob(event.job);
  return event;
}

JobEvent StateStore::AddEvent(JobEvent event) {
  const std::lock_guard lock(mutex_);
  return InsertEvent(std::move(event));
}

void StateStore::AddEvents(const std::vector<JobEvent>& events) {
  const std::lock_guard lock(mutex_);
  Transaction transaction(*database_);
  for (const JobEvent& event : events) InsertEvent(event);
  transaction.Commit();
}

Page<JobEvent> StateStore::ListEvents(std::string_view job, const PageRequest& request) const {
  const std::lock_guard lock(mutex_);
  return ReadPage(*database_, PartsOf("events", kEventColumns, "event", job), request,
                  ReadEventRow);
}

JobCheckpoint StateStore::AddCheckpoint(JobCheckpoint checkpoint,
                                        const std::optional<StoredAdapter>& adapter) {
  if (checkpoint.id.empty()) checkpoint.id = NewId(IdKind::kCheckpoint);
  if (!IsId(IdKind::kCheckpoint, checkpoint.id)) {
    Fail(ErrorCode::kInvalidArgument, "checkpoint {}: not an id of a checkpoint; leave it empty",
         Quoted(checkpoint.id));
  }
  if (checkpoint.created_at == 0) checkpoint.created_at = std::time(nullptr);
  const std::lock_guard lock(mutex_);
  Transaction transaction(*database_);
  const int64_t added = database_->Run(
      "INSERT INTO checkpoints(id, job, created_at, step_number, fine_tuned_model_checkpoint, "
      "metrics) SELECT ?, seq, ?, ?, ?, ? FROM jobs WHERE id = ? ON CONFLICT(job, step_number) DO "
      "NOTHING",
      {checkpoint.id, checkpoint.created_at, checkpoint.step_number,
       checkpoint.fine_tuned_model_checkpoint, JsonValue(checkpoint.metrics), checkpoint.job});
  if (added > 0) {
    if (adapter) InsertAdapter(*adapter);
    transaction.Commit();
    return checkpoint;
  }
  Statement row = database_->Query(
      fmt::format("SELECT {} FROM checkpoints WHERE job = (SELECT seq FROM jobs WHERE id = ?) AND "
                  "step_number = ?",
                  kCheckpointColumns),
      {checkpoint.job, checkpoint.step_number});
  if (!row.Next()) FailNoJob(checkpoint.job);
  return ReadCheckpointRow(row);
}

Page<JobCheckpoint> StateStore::ListCheckpoints(std::string_view job,
                                                const PageRequest& request) const {
  const std::lock_guard lock(mutex_);
  return ReadPage(*database_, PartsOf("checkpoints", kCheckpointColumns, "checkpoint", job),
                  request, ReadCheckpointRow);
}

}  // namespace lorikeet
