// An `SftJob` is everything that a run of `lorikeet sft` needs, made from its options and checked
// before the run starts.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/folder_lock.h"
#include "engine/loaded_model.h"
#include "recipes/sft_options.h"
#include "recipes/sft_plan.h"
#include "train/sft.h"

namespace lorikeet {

struct SftJob {
  std::shared_ptr<LoadedModel> loaded;
  Dataset train, heldout;
  std::vector<TextFile> text_files;  // the model's, and config.yaml with all choices
  std::optional<FolderLock> lock;    // of output_dir, if it was there
  std::unique_ptr<TrainingRun> run;
  SftConfig config;
  SftPlan plan;
};

// Objects that a process which trains several times can reuse. All may be left out.
struct TrainingContext {
  std::shared_ptr<LoadedModel> loaded;  // the model of the options, not to be changed
  std::shared_ptr<Arena> workspace;     // for the passes; empty while the job is made
  std::optional<double> peak_flops;     // FLOPs per second of this machine; open: measured
};

// Loads model, tokenizer and data, chooses options that are left open (learning rate, micro-batch)
// and writes them to `options`, and checks that memory suffices. Throws Error. Writes no files.
SftJob PrepareSft(SftOptions& options, const TrainingContext& context = {});

// The same without text_files. `reshape`, if not empty, makes the training and held-out examples
// from those that were read.
using ReshapeData = std::function<Dataset(const Dataset& data)>;
SftJob PrepareTraining(SftOptions& options, const ReshapeData& reshape = {},
                       const TrainingContext& context = {});

// Locks an output_dir that is there, before its checkpoints are looked at. Throws Error(kIo) if
// another process has it.
std::optional<FolderLock> LockOutputDir(const std::string& dir);
// Throws Error(kInvalidArgument) if a run may not write to `dir`: it is one of its inputs, or it is
// not empty although may_hold_a_run is false.
void CheckOutputDir(const std::string& dir, const std::vector<std::string>& inputs,
                    bool may_hold_a_run);
// Removes what an earlier run wrote into output_dir, and nothing else.
void RemoveEarlierRun(const std::string& output_dir);
// Creates the folder and writes the settings into it, before the first step. remove_earlier: first
// removes an earlier run. Returns the lock on the folder, unless it is `locked`. Throws Error(kIo),
// and Error(kInvalidArgument) if another run wrote into a folder that was not locked.
std::optional<FolderLock> BeginOutputDir(const std::string& output_dir, bool remove_earlier,
                                         const TextFile& settings, bool locked);

}  // namespace lorikeet
