// A `JobRunner` runs the fine-tuning jobs of a server, beside its sampling: each gives the adapter
// that `lorikeet sft` gives with the same settings, and survives a killed server.
#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "serve/engine_turns.h"
#include "serve/served_models.h"
#include "serve/state/state_store.h"

namespace lorikeet {

struct JobRunnerOptions {
  std::string model;  // as `lorikeet sft` takes it
  std::string dtype = "auto";
  int running = 1;  // jobs that train at once, in turns
  int64_t save_steps = 50;
};

class JobRunner {
 public:
  // All must outlive the runner. Loads the adapters of finished jobs, and resumes the jobs
  // that an earlier server left.
  JobRunner(StateStore& store, ServedModels& models, EngineTurns& turns,
            const JobRunnerOptions& options);
  ~JobRunner();  // as Stop
  JobRunner(const JobRunner&) = delete;
  JobRunner& operator=(const JobRunner&) = delete;

  // Stores a job and queues it. Returns it with its id.
  StoredJob Create(StoredJob job);
  // Return the job as it is then. Throw ApiError: 404 for an unknown job, 400 for one that has
  // ended, or is not running or queued (Pause), or not paused (Resume).
  StoredJob Cancel(const std::string& id);
  StoredJob Pause(const std::string& id);
  StoredJob Resume(const std::string& id);
  // Running jobs write a checkpoint and are resumed by the next server.
  void Stop();

  // Lines about adapters that could not be loaded.
  const std::vector<std::string>& findings() const { return findings_; }

 private:
  void LoadAdapters();
  void Loop();
  void RunJob(const StoredJob& job, const std::atomic<bool>& stop);
  StoredJob EndRunning(const std::string& id, std::initializer_list<JobStatus> from, JobStatus to,
                       const std::string& message);
  StoredJob Need(const std::string& id) const;

  StateStore& store_;
  ServedModels& models_;
  EngineTurns& turns_;
  JobRunnerOptions options_;
  std::vector<std::string> findings_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::deque<std::string> queue_;                                      // ids
  std::map<std::string, std::shared_ptr<std::atomic<bool>>> running_;  // with their stop flags
  std::vector<std::thread> threads_;
};

}  // namespace lorikeet
