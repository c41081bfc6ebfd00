// From the options of `lorikeet rl` to everything that a run needs, checked before time is spent.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chat/chat_template.h"
#include "cli/rl_options.h"
#include "engine/loaded_model.h"
#include "rl/rl_loop.h"

namespace lorikeet {

struct RlJob {
  LoadedModel loaded;
  std::optional<ChatTemplate> chat_template;
  OrderedJson template_variables;        // for it; null if none
  std::vector<TextFile> text_files;      // the model's, and config.yaml as resolved
  std::optional<LoadedModel> reference;  // full fine-tuning that asks for the KL to its base
  std::unique_ptr<TrainingRun> run;
  std::unique_ptr<Generator> generator;
  RlConfig config;
  RlHooks hooks;  // problems and rewards
  std::string learning_rate_reason, recompute_reason;
  std::vector<std::string> expert_notes;  // recipes/expert_notes.h
  std::vector<std::string> notes;         // what a person should know before the run
  int64_t planned_bytes = 0;              // training and sampling
  std::string resume_from;                // a checkpoint; empty: a new run
  int64_t steps_done = 0;                 // of that checkpoint

  // Refers to this job.
  ChatFormat Format(const RlOptions& options) const;
};

// Loads the model and the tasks, chooses what the options leave open and writes it into them, and
// checks that memory suffices. Throws Error. Writes nothing.
RlJob PrepareRl(RlOptions& options);

}  // namespace lorikeet
