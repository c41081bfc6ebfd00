#include "serve/jobs/job_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/parallel.h"
#include "serve/api_error.h"
#include "serve/jobs/job_run.h"

namespace lorikeet {
namespace {

JobEvent EventOf(const std::string& id, EventLevel level, std::string message) {
  JobEvent event;
  event.job = id;
  event.level = level;
  event.message = std::move(message);
  return event;
}

}  // namespace

JobRunner::JobRunner(StateStore& store, ServedModels& models, EngineTurns& turns,
                     const JobRunnerOptions& options)
    : store_(store), models_(models), turns_(turns), options_(options) {
  LoadAdapters();
  for (const StoredJob& job : store_.JobsToResume()) {
    if (job.status != JobStatus::kPaused) queue_.push_back(job.id);
  }
  for (int i = 0; i < options_.running; ++i) {
    threads_.emplace_back([this, threads = NumThreads()] {
      SetNumThreads(threads);
      Loop();
    });
  }
}

JobRunner::~JobRunner() { Stop(); }

void JobRunner::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (auto& [id, stop] : running_) stop->store(true);
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void JobRunner::LoadAdapters() {
  PageRequest request{.limit = 1000, .ascending = true};
  while (true) {
    const Page<StoredAdapter> page = store_.ListAdapters(request);
    for (const StoredAdapter& adapter : page.data) {
      try {
        models_.Load(adapter.name, adapter.path, /*replace=*/true);
      } catch (const Error& e) {
        findings_.push_back(
            fmt::format("the adapter {} is not served: {}", adapter.name, e.what()));
      }
    }
    if (!page.has_more) return;
    request.after = page.data.back().name;
  }
}

StoredJob JobRunner::Need(const std::string& id) const {
  std::optional<StoredJob> job = store_.GetJob(id);
  if (!job) Refuse(404, "fine_tuning_job_id", "there is no fine-tuning job '{}'", id);
  return *std::move(job);
}

StoredJob JobRunner::Create(StoredJob job) {
  job.status = JobStatus::kQueued;
  StoredJob stored = store_.AddJob(std::move(job));
  store_.AddEvent(
      EventOf(stored.id, EventLevel::kInfo, fmt::format("Created fine-tuning job: {}", stored.id)));
  const std::lock_guard lock(mutex_);
  queue_.push_back(stored.id);
  changed_.notify_all();
  return stored;
}

// Moves a job out of the queue, or stops it where it trains.
StoredJob JobRunner::EndRunning(const std::string& id, std::initializer_list<JobStatus> from,
                                JobStatus to, const std::string& message) {
  const StoredJob before = Need(id);
  JobUpdate update;
  update.events.push_back(EventOf(id, EventLevel::kInfo, message));
  if (!store_.Transition(id, from, to, update)) {
    Refuse(400, "fine_tuning_job_id", "the job is {}", NameOf(before.status));
  }
  const std::lock_guard lock(mutex_);
  std::erase(queue_, id);
  const auto found = running_.find(id);
  if (found != running_.end()) found->second->store(true);
  return Need(id);
}

StoredJob JobRunner::Cancel(const std::string& id) {
  return EndRunning(
      id,
      {JobStatus::kValidatingFiles, JobStatus::kQueued, JobStatus::kRunning, JobStatus::kPaused},
      JobStatus::kCancelled, "The job has been cancelled");
}

StoredJob JobRunner::Pause(const std::string& id) {
  return EndRunning(id, {JobStatus::kValidatingFiles, JobStatus::kQueued, JobStatus::kRunning},
                    JobStatus::kPaused, "The job has been paused");
}

StoredJob JobRunner::Resume(const std::string& id) {
  const StoredJob before = Need(id);
  JobUpdate update;
  update.events.push_back(EventOf(id, EventLevel::kInfo, "The job has been resumed"));
  if (!store_.Transition(id, {JobStatus::kPaused}, JobStatus::kQueued, update)) {
    Refuse(400, "fine_tuning_job_id", "the job is {}, not paused", NameOf(before.status));
  }
  const std::lock_guard lock(mutex_);
  queue_.push_back(id);
  changed_.notify_all();
  return Need(id);
}

void JobRunner::Loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    // A job that was paused and resumed may still be writing its checkpoint.
    auto next = queue_.end();
    changed_.wait(lock, [&] {
      next = std::find_if(queue_.begin(), queue_.end(),
                          [&](const std::string& id) { return !running_.contains(id); });
      return stopping_ || next != queue_.end();
    });
    if (stopping_) return;
    const std::string id = *next;
    queue_.erase(next);
    const auto stop = std::make_shared<std::atomic<bool>>(false);
    running_[id] = stop;
    lock.unlock();
    if (const std::optional<StoredJob> job = store_.GetJob(id)) RunJob(*job, *stop);
    lock.lock();
    running_.erase(id);
    changed_.notify_all();
  }
}

void JobRunner::RunJob(const StoredJob& job, const std::atomic<bool>& stop) {
  const auto working = {JobStatus::kQueued, JobStatus::kValidatingFiles, JobStatus::kRunning};
  try {
    if (!store_.Transition(job.id, working, JobStatus::kValidatingFiles)) return;
    const std::optional<JobUpdate> result = RunFineTuning(
        job, {store_, models_, turns_, options_.model, options_.dtype, options_.save_steps, stop});
    if (!result) return;  // stopped: paused, cancelled, or for the next server
    for (const StoredAdapter& adapter : result->adapters) {
      models_.Load(adapter.name, adapter.path, /*replace=*/true);
    }
    if (store_.Transition(job.id, working, JobStatus::kSucceeded, *result)) return;
    for (const StoredAdapter& adapter : result->adapters) models_.Unload(adapter.name);
  } catch (...) {
    const ApiError error = ToApiError(std::current_exception());
    JobUpdate update;
    update.error = JobError{error.status() < 500 ? "invalid_training_file" : "server_error",
                            error.what(), std::nullopt};
    update.events.push_back(EventOf(job.id, EventLevel::kError, error.what()));
    try {
      store_.Transition(job.id, working, JobStatus::kFailed, update);
    } catch (const Error&) {
      // The disk fails: the job stays as it is, and the next server tries it again.
    }
  }
}

}  // namespace lorikeet
