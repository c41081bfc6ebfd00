// From a `Run` to what training needs: configurations of the loops, the plan's query, the learning
// rate, the adapter, the trainer.
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

// What the loops read of a run; output, cadence, hooks and machine figures are the caller's.
// learning_rate is 0 where the run leaves it open.
SftConfig SftConfigOf(const Run& run);
// Needs an Rl objective. Throws Error(kInvalidArgument) for settings that exclude each other.
// stop_tokens and max_prompt_tokens, where open, are the caller's.
RlConfig RlConfigOf(const Run& run);
// The objective with what the run says instead. Throws Error(kInvalidArgument) for an unknown name.
Objective ObjectiveOf(const Rl& rl);

// Adapter and micro-batch of the plan's query. sequence_length, longest_sequence and
// shared_prefixes are the caller's; recompute is none.
TrainingShape ShapeOf(const Run& run, DType compute);
// Takes over what the adapter has: the last parts of its modules' names and its largest ranks.
void TakeShapeOf(const LoraAdapter& adapter, TrainingShape* shape);

LearningRateQuery LearningRateQueryOf(const Run& run, const ModelConfig& model,
                                      int64_t planned_steps);
// Sets run.optimizer.learning_rate where it is open; returns the reason, "" where it was given.
std::string ChooseLearningRate(const ModelConfig& model, int64_t planned_steps, Run* run);

// Names of the options that the user has set, in `options` or on the command line (`typed`): those
// that are not at their default, and those typed.
template <class Options>
std::set<std::string> OptionsSet(const Options& options, const std::vector<std::string>& typed) {
  std::set<std::string> names(typed.begin(), typed.end());
  Options copy = options;
  const OrderedJson changed = ChangedToJson(OptionTable(copy));
  for (const auto& [name, value] : changed.items()) names.insert(name);
  return names;
}

// The adapter that the run trains: a new one, or the one that run->adapter.adapter names; nothing
// for full fine-tuning. A loaded adapter's rank, alpha, scaling and modules are put into
// run->adapter and into `shape`; where options in `set` (OptionsSet) say otherwise, throws
// Error(kInvalidArgument) naming both.
std::optional<LoraAdapter> MakeAdapter(Model& model, const std::set<std::string>& set, Run* run,
                                       TrainingShape* shape);
// Refuses an adapter to start from, and hyper-parameters of A and B, where there is no adapter or
// no new one. Throws Error(kInvalidArgument).
void CheckAdapter(const Adapter& adapter);

std::unique_ptr<TrainingRun> MakeRun(Model& model, std::optional<LoraAdapter> adapter,
                                     const TrainingShape& shape);

// The model's text files with the chat template that `rendering` names in place of its own, and
// `config_yaml` as config.yaml, the last one.
std::vector<TextFile> CollectFiles(const LoadedModel& loaded, const RenderingOptions& rendering,
                                   const std::string& config_yaml);

}  // namespace lorikeet
