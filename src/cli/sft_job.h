// An `SftJob` is everything that a run of `lorikeet sft` needs, made from its options and checked
// before the run starts.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/sft_options.h"
#include "engine/loaded_model.h"
#include "recipes/sft_plan.h"
#include "train/sft.h"

namespace lorikeet {

struct SftJob {
  LoadedModel loaded;
  Dataset train, heldout;
  std::vector<TextFile> text_files;  // the model's, and config.yaml with all choices
  std::unique_ptr<TrainingRun> run;
  SftConfig config;
  SftPlan plan;
};

// Loads model, tokenizer and data, chooses options that are left open (learning rate, micro-batch)
// and writes them to `options`, and checks that memory suffices. Throws Error. Writes no files.
SftJob PrepareSft(SftOptions& options);

// The same without text_files. `reshape`, if not empty, makes the training and held-out examples
// from those that were read.
using ReshapeData = std::function<Dataset(const Dataset& data)>;
SftJob PrepareTraining(SftOptions& options, const ReshapeData& reshape = {});

// Throws Error(kInvalidArgument) if a run may not write to `dir`: it is one of its inputs, or it is
// not empty although may_hold_a_run is false.
void CheckOutputDir(const std::string& dir, const std::vector<std::string>& inputs,
                    bool may_hold_a_run);
// Removes what an earlier run wrote into output_dir, and nothing else.
void RemoveEarlierRun(const std::string& output_dir);
// Creates the folder and writes the settings into it, before the first step. remove_earlier: first
// removes an earlier run. Throws Error(kIo).
void BeginOutputDir(const std::string& output_dir, bool remove_earlier, const TextFile& settings);

}  // namespace lorikeet
