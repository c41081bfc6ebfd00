// The run of one fine-tuning job: `sft` with the job's settings, over the model that is served.
#pragma once
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "serve/engine_turns.h"
#include "serve/served_models.h"
#include "serve/state/state_store.h"

namespace lorikeet {

struct JobRunContext {
  StateStore& store;
  ServedModels& models;
  EngineTurns& turns;
  const std::string& model;
  const std::string& dtype;
  int64_t save_steps;
  const std::atomic<bool>& stop;  // becomes true: write a checkpoint and return
};

// Trains from the last checkpoint of the job, if there is one. Sets the job's status to running,
// adds its events and checkpoints. Returns what finishes the job: its adapter, files and counts;
// nothing if it was stopped. Throws Error for data that cannot be learned from, and as TrainSft.
std::optional<JobUpdate> RunFineTuning(const StoredJob& job, const JobRunContext& context);

}  // namespace lorikeet
