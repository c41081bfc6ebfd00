// From the options of `lorikeet sft` to everything that a run needs, checked before time is spent.
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
  std::vector<TextFile> text_files;  // the model's, and config.yaml as resolved
  std::unique_ptr<TrainingRun> run;
  SftConfig config;
  SftPlan plan;
};

// Loads model, tokenizer and data, chooses what the options leave open (learning rate, micro-batch)
// and writes it into them, and checks that memory suffices. Throws Error. Writes nothing.
SftJob PrepareSft(SftOptions& options);

// The same without text_files. `reshape`, where given, makes the examples that are trained and held
// out from those that were read.
using ReshapeData = std::function<Dataset(const Dataset& data)>;
SftJob PrepareTraining(SftOptions& options, const ReshapeData& reshape = {});

// Throws Error(kInvalidArgument) when a run may not write to output_dir: it is one of its inputs,
// or holds something already although it may not.
void CheckOutputDir(const std::string& dir, const std::vector<std::string>& inputs,
                    bool may_hold_a_run);
// Removes what an earlier run wrote into output_dir, and nothing else.
void RemoveEarlierRun(const std::string& output_dir);
// The folder, with the settings in it, before the first step; begins_anew: without what an earlier
// run left. Throws Error(kIo).
void BeginOutputDir(const std::string& output_dir, bool begins_anew, const TextFile& settings);

}  // namespace lorikeet
