// An `RlJob` is everything that a run of `lorikeet rl` needs, made from its options and checked
// before the run starts.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chat/chat_template.h"
#include "core/folder_lock.h"
#include "engine/loaded_model.h"
#include "recipes/rl_options.h"
#include "rl/rl_loop.h"

namespace lorikeet {

struct RlJob {
  LoadedModel loaded;
  std::optional<ChatTemplate> chat_template;
  OrderedJson template_variables;        // for chat_template; null if none
  std::vector<TextFile> text_files;      // the model's, and config.yaml with all choices
  std::optional<LoadedModel> reference;  // for the KL to the base in full fine-tuning
  std::unique_ptr<TrainingRun> run;
  std::unique_ptr<Generator> generator;
  RlConfig config;
  RlHooks hooks;  // problems and rewards
  std::string learning_rate_reason, recompute_reason;
  std::vector<std::string> expert_notes;  // recipes/expert_notes.h
  std::vector<std::string> notes;         // for the user, before the run
  int64_t planned_bytes = 0;              // training and sampling
  std::string resume_from;                // checkpoint to resume from; empty: a new run
  int64_t steps_done = 0;                 // step of that checkpoint
  std::optional<FolderLock> lock;         // of output_dir, if it was there

  // The job must outlive the result.
  ChatFormat Format(const RlOptions& options) const;
};

// Loads the model and the tasks, chooses options that are left open and writes them to `options`,
// and checks that memory suffices. Throws Error. Writes no files.
RlJob PrepareRl(RlOptions& options);

}  // namespace lorikeet
