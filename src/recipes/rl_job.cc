#include "recipes/rl_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>

#include "core/error.h"
#include "core/file.h"
#include "core/format.h"
#include "core/machine.h"
#include "data/render.h"
#include "engine/read_model.h"
#include "model/export.h"
#include "options/args.h"
#include "plan/machine_probe.h"
#include "recipes/expert_notes.h"
#include "recipes/prepare.h"
#include "recipes/recompute.h"
#include "recipes/rl_rewards.h"
#include "recipes/run_settings.h"
#include "recipes/sft_job.h"
#include "rl/problem_source.h"
#include "train/checkpoint.h"
#include "train/run_settings.h"
#include "verify/grader.h"
#include "verify/problem_file.h"

namespace lorikeet {
namespace {

std::vector<Problem> LoadFiles(const std::vector<std::string>& files, const RlOptions& options) {
  std::vector<Problem> problems =
      LoadTaskFiles(files, options.rl().grader,
                    ColumnMap(options.rl().rendering.data_columns, RowKind::kProblems));
  for (const Problem& problem : problems) {
    if (problem.grader == "none" && GraderCounts(options)) {
      Fail(ErrorCode::kInvalidArgument,
           "{}: the grader 'none' grades nothing, so no completion would count; give another "
           "--grader, or --reward-command or --reward-url{}",
           problem.id, options.rl().rewards.size() > 1 ? " without 'grader' in --rewards" : "");
    }
  }
  return problems;
}

// Returns the rows of data files; none for generated tasks.
std::vector<Problem> ChooseProblems(const RlOptions& options, RlHooks* hooks) {
  const Rl& rl = options.rl();
  if (rl.task.empty() == options.data.empty()) {
    Fail(ErrorCode::kInvalidArgument,
         "give either --task (a generated one) or --data (problems of a file); lorikeet rl --help "
         "lists the tasks");
  }
  const auto seed = static_cast<uint64_t>(options.run.steps.seed);
  if (!options.data.empty()) CheckGrader(rl.grader);
  const ProblemSource source = options.data.empty()
                                   ? ProblemSource::Generated(rl.task, rl.difficulty)
                                   : ProblemSource::Rows(LoadFiles(options.data, options));
  hooks->problem = source.OfSeed(seed);
  if (options.eval_data.empty()) hooks->heldout = source.HeldOut(seed, options.eval_problems);
  if (!options.eval_data.empty()) hooks->heldout = LoadFiles(options.eval_data, options);
  std::vector<Problem> rows(source.rows().begin(), source.rows().end());
  if (!options.eval_data.empty()) {
    rows.insert(rows.end(), hooks->heldout.begin(), hooks->heldout.end());
  }
  return rows;
}

RlConfig ConfigOf(const RlOptions& options) {
  RlConfig config = RlConfigOf(options.run);
  config.loop.eval_steps = options.output.eval_steps.value_or(0);
  config.eval_samples = options.eval_samples;
  config.loop.output_dir = options.output.output_dir;
  config.loop.save_steps = options.output.save_steps;
  config.loop.save_total_limit = options.output.save_total_limit;
  config.loop.tensorboard = options.output.report_to == "tensorboard";
  return config;
}

// Settings that checkpoints record: the options, and fingerprints of the model and files they name.
Json SettingsOf(const RlOptions& options, const RlJob& job) {
  std::vector<std::string> files;
  for (const std::string& path : options.data) files.push_back(ReadFile(path));
  Json settings = RlCommandSettingsOf(options.run);
  settings["data"] = FingerprintOf(files);
  const std::vector<std::string>& columns = options.rl().rendering.data_columns;
  if (!columns.empty()) settings["data_columns"] = columns;
  settings["chat_template"] = FingerprintOf(std::array{job.chat_template->source()});
  settings["model"] = FingerprintOf(*job.loaded.model);
  settings["dtype"] = DTypeName(job.loaded.model->compute());
  return settings;
}

void ChooseCheckpoint(const RlOptions& options, RlJob* job) {
  if (!options.output.resume) return;
  const std::vector<CheckpointRef> checkpoints = ListCheckpoints(options.output.output_dir);
  if (checkpoints.empty()) return;
  job->resume_from = checkpoints.back().dir;
  job->steps_done = checkpoints.back().step;
}

// The adapter's own text files where it has them: it may have been trained with another template.
void TakeTextOf(const std::string& adapter, LoadedModel* loaded) {
  if (!HasTokenizerFile(adapter)) return;
  loaded->tokenizer = LoadTokenizerBundle(ReadTokenizerFolder(adapter));
  loaded->text_files = TextFilesIn(adapter);
}

// Sets the chat template and its variables, and the strings and tokens that end a completion.
void ChooseText(RlOptions& options, RlJob* job) {
  const TokenizerBundle& text = job->loaded.Text();
  Rl& rl = options.rl();
  job->chat_template = ChooseChatTemplate(text, rl.rendering.chat_template.value_or(""));
  if (!job->chat_template) {
    Fail(ErrorCode::kInvalidArgument,
         "{}: has no chat template, so problems cannot be put to it; give --chat-template plain "
         "for a base model, chatml, or a Jinja file",
         options.model);
  }
  job->template_variables = TemplateVariablesOf(rl.rendering);
  AddStopStrings(*job->chat_template, &rl.stop);
}

// max_prompt_tokens that the first run chose, for a resumed run: with more steps it would look at
// more problems.
std::optional<int> RecordedLongestPrompt(const std::string& checkpoint) {
  if (checkpoint.empty()) return std::nullopt;
  const Json state = ReadRunState(checkpoint);
  try {
    return state.at("settings").at("max_prompt_tokens").get<int>();
  } catch (const Json::exception&) {
    return std::nullopt;  // the loop reports what is wrong with the file
  }
}

// Chooses max_prompt_tokens, and returns the longest sequence with a completion.
int64_t LongestSequence(RlOptions& options, const ChatFormat& format, const RlJob& job) {
  Rl& rl = options.rl();
  if (!rl.max_prompt_tokens) rl.max_prompt_tokens = RecordedLongestPrompt(job.resume_from);
  if (!rl.max_prompt_tokens) {
    const RlConfig config = RlConfigOf(options.run);
    const int64_t asked = config.loop.max_steps * config.groups_per_step * config.max_rounds;
    rl.max_prompt_tokens = static_cast<int>(LongestPrompt(format, job.hooks.problem, asked));
  }
  const int64_t longest =
      std::max<int64_t>(*rl.max_prompt_tokens, LongestPrompt(format, job.hooks.heldout));
  return longest + rl.max_tokens;
}

// Full fine-tuning moves its base: the KL to it needs a second copy.
bool NeedsReference(const Run& run) {
  const RlConfig config = RlConfigOf(run);
  return run.adapter.full() &&
         (config.update.objective.loss.kl_coef > 0 || config.base_kl_steps > 0);
}

// Notes where sampler and trainer do not agree to the last bit on this machine.
void CheckBits(RlJob* job) {
  const EngineProbe::Check check = CheckRowBits(job->loaded.model->compute());
  if (check.ok) return;
  job->notes.push_back(fmt::format(
      "on this machine rows of a product depend on the batch size ({}), so the sampler's "
      "log-probabilities are only near the trainer's; the importance ratios correct for it, and "
      "sampling/logp_difference_max shows how far apart they are",
      check.detail));
}

// Bytes of the plan; refuses what does not fit. Sets shape->recompute. The sampler uses the
// trainer's workspace.
void SettleMemory(const RlOptions& options, const Generator::Memory& sampling, TrainingShape* shape,
                  RlJob* job) {
  const Model& model = *job->loaded.model;
  const MemoryAtHand memory = {.resident = static_cast<int64_t>(model.OwnedBytes()),
                               .available = ReadMemory().available};
  const DType stored = MatrixDtype(model.source());
  RecomputeChoice recompute = ChooseRecompute(model.config(), *shape, stored,
                                              ParseRecompute(options.run.steps.recompute), memory);
  shape->recompute = recompute.recompute;
  job->recompute_reason = recompute.reason;
  std::vector<MemoryPart> parts = std::move(recompute.memory);
  parts.push_back({"sampling", sampling.Beside(PartBytes(parts, kActivationsPart))});
  if (NeedsReference(options.run)) parts.push_back({"the base, for its KL", model.OwnedBytes()});
  job->planned_bytes = static_cast<int64_t>(TotalBytes(parts));
  if (memory.Holds(parts)) return;
  Fail(ErrorCode::kOutOfMemory,
       "training and sampling need {}, {} are free; lower --micro-batch-tokens, --group-size or "
       "--max-tokens, or give --recompute block",
       HumanBytes(job->planned_bytes), HumanBytes(memory.All()));
}

// Trainer, sampler and, where needed, the reference. shape: of the adapter; longest: sequence.
void MakeTrainer(const RlOptions& options, std::optional<LoraAdapter> adapter, TrainingShape shape,
                 int64_t longest, RlJob* job) {
  Model& model = *job->loaded.model;
  const Steps& steps = options.run.steps;
  shape.tokens_per_microbatch = std::max(steps.micro_batch_tokens, longest);
  shape.sequence_length = longest;
  shape.shared_prefixes = true;
  const GeneratorLimits limits = {
      .slots = std::min<int64_t>(steps.batch_size * options.rl().group_size, 64),
      .capacity = longest};
  SettleMemory(options,
               Generator::Plan(model, limits, adapter ? adapter->weights().Extent() : LoraExtent()),
               &shape, job);
  if (adapter) job->expert_notes = ExpertNotes(model.config(), shape);
  job->run = MakeRun(model, std::move(adapter), shape);
  if (NeedsReference(options.run)) {
    job->reference = LoadModel(options.model, ParseComputeDtype(options.dtype));
    job->run->SetReference(job->reference->model.get());
  }
  job->generator = std::make_unique<Generator>(model, limits, job->run->workspace());
}

}  // namespace

ChatFormat RlJob::Format(const RlOptions& options) const {
  return {loaded.Text(), *chat_template, options.rl().stop, template_variables,
          options.rl().rendering.date.value_or("")};
}

RlJob PrepareRl(RlOptions& options) {
  Run& run = options.run;
  CheckOutputDir(options.output.output_dir, {options.model, run.adapter.adapter.value_or("")},
                 options.output.resume || options.output.overwrite_output_dir);
  CheckAdapter(run.adapter);
  RlJob job;
  if (options.output.resume || options.output.overwrite_output_dir) {
    job.lock = LockOutputDir(options.output.output_dir);
  }
  ResolveRewards(options);
  std::vector<Problem> rows = ChooseProblems(options, &job.hooks);
  job.hooks.reward = MakeReward(options);
  RlConfigOf(run);  // refuses settings that exclude each other before anything is loaded
  ChooseCheckpoint(options, &job);
  job.loaded = LoadModel(options.model, ParseComputeDtype(options.dtype));
  Model& model = *job.loaded.model;
  options.common.PrintNotes(model.config().notes);
  if (run.adapter.adapter) TakeTextOf(*run.adapter.adapter, &job.loaded);
  ChooseText(options, &job);
  job.notes = PromptNotes(job.Format(options), rows);
  rows = {};
  TrainingShape shape = ShapeOf(run, model.compute());
  std::optional<LoraAdapter> adapter =
      MakeAdapter(model, OptionsSet(options, options.typed), &run, &shape);
  job.learning_rate_reason = ChooseLearningRate(model.config(), *run.steps.max_steps, &run);
  const int64_t longest = LongestSequence(options, job.Format(options), job);
  CheckBits(&job);
  MakeTrainer(options, std::move(adapter), shape, longest, &job);
  job.config = ConfigOf(options);
  job.config.loop.resume_from = job.resume_from;
  job.config.stop_tokens = StopTokensOf(job.loaded.Text(), model.config().vocab_size);
  job.config.settings = SettingsOf(options, job);
  RlOptions resolved = options;
  resolved.output.resume = resolved.output.overwrite_output_dir = false;
  job.text_files = CollectFiles(job.loaded, options.rl().rendering, ToYaml(OptionTable(resolved)));
  return job;
}

}  // namespace lorikeet
