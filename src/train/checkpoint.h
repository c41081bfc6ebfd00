// Checkpoints, the folders output_dir/checkpoint-N: finding them, writing them atomically, and
// deleting old ones. A checkpoint has weights as peft or transformers read them,
// training_state.safetensors (masters and moments), trainer_state.json (as transformers' Trainer
// writes it), run_state.json (the other state from which a run resumes, and checksums of all files:
// checkpoint/file_sums.h), and the text files that the caller adds.
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
// The complete checkpoints, by step. Empty if the folder does not exist.
std::vector<CheckpointRef> ListCheckpoints(const std::string& output_dir);
// The last complete checkpoint. Throws Error(kNotFound) if there is none.
std::string LatestCheckpoint(const std::string& output_dir);
// Throws Error naming what is missing if `dir` is not a complete checkpoint.
void RequireComplete(const std::string& dir);
// Throws Error(kCorruptFile) naming a file that is not as it was written. Reads them all.
void RequireUndamaged(const std::string& dir);
// Removes checkpoints that a killed run left incomplete (other programs' folders of such a name
// stay), and restores those that it had moved aside.
void CleanLeftovers(const std::string& output_dir);

struct CheckpointParts {
  Json trainer_state, run_state;
  std::function<void(const std::string& dir)> text_files;  // may be empty
};
// Writes a checkpoint, complete and synced to the disk on return; if the process is killed before,
// there is none of this name. Throws Error(kIo).
void WriteCheckpoint(const std::string& dir, const TrainingRun& run, const CheckpointParts& parts);

// Deletes all but the last `keep` checkpoints and that of `best_step`. Also deletes those of later
// steps than `step`, which were written before the run was resumed from an earlier checkpoint.
void RotateCheckpoints(const std::string& output_dir, int64_t step, int64_t keep,
                       int64_t best_step);
// Deletes the checkpoints after `step`, which a run resumed there gives up. Throws
// Error(kIo) naming one that cannot be deleted.
void RemoveCheckpointsAfter(const std::string& output_dir, int64_t step);

// run_state.json of a checkpoint. Throws Error naming the file, also if it is damaged.
Json ReadRunState(const std::string& dir);

}  // namespace lorikeet
