// Makes what training needs from a `Run`: configurations of the loops, the plan's query, the
// learning rate, the adapter, the trainer.
#pragma once
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "checkpoint/lora_config.h"
#include "engine/loaded_model.h"
#include "model/lora.h"
#include "plan/memory_plan.h"
#include "recipes/run.h"
#include "rl/rl_loop.h"
#include "train/learning_rate.h"
#include "train/sft.h"
#include "train/training_run.h"

namespace lorikeet {

LoraConfig LoraConfigOf(const Adapter& adapter);
// With learning_rate and grad_divisor left at their defaults: the loops set them.
OptimParams OptimParamsOf(const Run& run);

// The loops' configurations. The caller sets output, cadence, hooks and figures of the machine.
// learning_rate is 0 if the run leaves it open.
SftConfig SftConfigOf(const Run& run);
// The run must have an Rl objective. The caller sets stop_tokens, and max_prompt_tokens if it is
// open. Throws Error(kInvalidArgument) for settings that exclude each other.
RlConfig RlConfigOf(const Run& run);
// The objective with the run's values in place of its own. Throws Error(kInvalidArgument) for an
// unknown name.
Objective ObjectiveOf(const Rl& rl);

// The plan's query, with adapter and micro-batch. The caller sets sequence_length, longest_sequence
// and shared_prefixes; recompute is none.
TrainingShape ShapeOf(const Run& run, DType compute);
// Sets the adapter's modules (the last parts of their names) and largest ranks in `shape`.
void TakeShapeOf(const LoraAdapter& adapter, TrainingShape* shape);

LearningRateQuery LearningRateQueryOf(const Run& run, const ModelConfig& model,
                                      int64_t planned_steps);
// Sets run.optimizer.learning_rate if it is open. Returns the reason; "" if it was given.
std::string ChooseLearningRate(const ModelConfig& model, int64_t planned_steps, Run* run);

// Names of the options that the user has set: those in `options` that are not at their default, and
// those on the command line (`typed`).
template <class Options>
std::set<std::string> OptionsSet(const Options& options, const std::vector<std::string>& typed) {
  std::set<std::string> names(typed.begin(), typed.end());
  Options copy = options;
  const OrderedJson changed = ChangedToJson(OptionTable(copy));
  for (const auto& [name, value] : changed.items()) names.insert(name);
  return names;
}

// The adapter that the run trains: a new one, or the one at run->adapter.adapter; nothing for full
// fine-tuning. A loaded adapter's rank, alpha, scaling and modules are written to run->adapter and
// `shape`. Throws Error(kInvalidArgument) naming both values if an option in `set` (OptionsSet)
// contradicts them.
std::optional<LoraAdapter> MakeAdapter(Model& model, const std::set<std::string>& set, Run* run,
                                       TrainingShape* shape);
// Throws Error(kInvalidArgument) for an adapter to start from, or hyper-parameters of A and B, in
// full fine-tuning, and for lora_init_a_scale with an adapter to start from.
void CheckAdapter(const Adapter& adapter);

// workspace: as in RunOptions.
std::unique_ptr<TrainingRun> MakeRun(Model& model, std::optional<LoraAdapter> adapter,
                                     const TrainingShape& shape,
                                     std::shared_ptr<Arena> workspace = nullptr);

// The model's text files, with the chat template of `rendering` if there is one in place of the
// model's, and last `config_yaml` as config.yaml.
std::vector<TextFile> CollectFiles(const LoadedModel& loaded, const RenderingOptions& rendering,
                                   const std::string& config_yaml);

}  // namespace lorikeet
