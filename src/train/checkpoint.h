// The folders output_dir/checkpoint-N: found, written whole or not at all, and rotated. Inside:
// weights as peft or transformers read them, training_state.safetensors (masters and moments),
// trainer_state.json (as transformers' Trainer writes it), run_state.json (everything else that
// decides how the run goes on), and the files of text that the caller adds.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/json.h"
#include "train/training_run.h"

namespace lorikeet {

struct CheckpointRef {
  int64_t step = 0;
  std::string dir;
};

std::string CheckpointDir(const std::string& output_dir, int64_t step);
// Complete ones, by step. Empty when the folder is not there.
std::vector<CheckpointRef> ListCheckpoints(const std::string& output_dir);
// The last complete one; throws Error(kNotFound) if there is none.
std::string LatestCheckpoint(const std::string& output_dir);
// Throws Error saying what is missing when `dir` is no complete checkpoint.
void RequireComplete(const std::string& dir);
// Removes what a killed run left half-written, and brings back what it had moved aside.
void CleanLeftovers(const std::string& output_dir);

struct CheckpointParts {
  Json trainer_state, run_state;
  std::function<void(const std::string& dir)> text_files;  // may be empty
};
// Complete and synced to the disk when this returns; a kill before leaves no checkpoint of this
// name. Throws Error(kIo).
void WriteCheckpoint(const std::string& dir, const TrainingRun& run, const CheckpointParts& parts);

// Deletes all but the last `keep` checkpoints and that of `best_step`. Those of later steps than
// `step` belong to a run that was given up by resuming before them, and go too.
void RotateCheckpoints(const std::string& output_dir, int64_t step, int64_t keep,
                       int64_t best_step);

// run_state.json of a checkpoint. Throws Error naming the file.
Json ReadRunState(const std::string& dir);

}  // namespace lorikeet
