#include "cli/rl_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>

#include "cli/rl_rewards.h"
#include "cli/sft_job.h"
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
#include "recipes/recompute.h"
#include "rl/problem_source.h"
#include "train/checkpoint.h"
#include "train/learning_rate.h"
#include "train/run_settings.h"
#include "verify/grader.h"
#include "verify/problem_file.h"

namespace lorikeet {
namespace {

std::vector<Problem> LoadFiles(const std::vector<std::string>& files, const RlOptions& options) {
  std::vector<Problem> problems = LoadTaskFiles(files, options.grader);
  for (const Problem& problem : problems) {
    if (problem.grader == "none" && GraderCounts(options)) {
      Fail(ErrorCode::kInvalidArgument,
           "{}: the grader 'none' judges nothing, so no completion would count; give another "
           "--grader, or --reward-command or --reward-url{}",
           problem.id, options.rewards.size() > 1 ? " without 'grader' in --rewards" : "");
    }
  }
  return problems;
}

void ChooseProblems(const RlOptions& options, RlHooks* hooks) {
  if (options.task.empty() == options.data.empty()) {
    Fail(ErrorCode::kInvalidArgument,
         "give either --task (a generated one) or --data (problems of a file); lorikeet rl --help "
         "lists the tasks");
  }
  const auto seed = static_cast<uint64_t>(options.seed);
  if (!options.data.empty()) CheckGrader(options.grader);
  const ProblemSource source = options.data.empty()
                                   ? ProblemSource::Generated(options.task, options.difficulty)
                                   : ProblemSource::Rows(LoadFiles(options.data, options));
  hooks->problem = source.OfSeed(seed);
  if (options.eval_data.empty()) hooks->heldout = source.HeldOut(seed, options.eval_problems);
  if (!options.eval_data.empty()) hooks->heldout = LoadFiles(options.eval_data, options);
}

// The objective with what the options say instead.
Objective ObjectiveOf(const RlOptions& options) {
  Objective objective = GetObjective(options.objective);
  objective.loss.clip_low = options.clip_low.value_or(objective.loss.clip_low);
  objective.loss.clip_high = options.clip_high.value_or(objective.loss.clip_high);
  objective.loss.kl_coef = options.kl_coef;
  objective.loss.temperature = options.temperature;
  return objective;
}

UpdateConfig UpdateOf(const RlOptions& options) {
  if (options.minibatches > options.prompts_per_step) {
    Fail(ErrorCode::kInvalidArgument,
         "minibatches {} of prompts_per_step {}: each needs a prompt; lower minibatches",
         options.minibatches, options.prompts_per_step);
  }
  UpdateConfig config;
  config.objective = ObjectiveOf(options);
  config.optim.max_grad_norm = options.max_grad_norm;
  config.passes = options.updates_per_batch;
  config.minibatches = options.minibatches;
  config.target_kl = options.target_kl;
  return config;
}

int64_t OverlongBuffer(const RlOptions& options, const Objective& objective) {
  if (options.overlong_buffer.value_or(0) > options.max_tokens) {
    Fail(ErrorCode::kInvalidArgument, "overlong_buffer {} exceeds max_tokens {}; lower it",
         *options.overlong_buffer, options.max_tokens);
  }
  return options.overlong_buffer ? *options.overlong_buffer
                                 : objective.UsualOverlongBuffer(options.max_tokens);
}

RlConfig ConfigOf(const RlOptions& options) {
  constexpr int kBaseKlSteps = 10;
  RlConfig config;
  config.update = UpdateOf(options);
  const Objective& objective = config.update.objective;
  config.groups_per_step = options.prompts_per_step;
  config.group_size = options.group_size;
  config.loop.max_steps = options.max_steps;
  config.max_tokens = options.max_tokens;
  config.overlong_buffer = OverlongBuffer(options, objective);
  config.max_rounds = options.max_rounds ? *options.max_rounds : objective.UsualRounds();
  config.base_kl_steps =
      options.base_kl_steps.value_or(options.method == "lora" ? kBaseKlSteps : 0);
  config.seed = static_cast<uint64_t>(options.seed);
  config.loop.eval_steps = options.eval_steps.value_or(0);
  config.eval_samples = options.eval_samples;
  config.loop.output_dir = options.output_dir;
  config.loop.save_steps = options.save_steps;
  config.loop.save_total_limit = options.save_total_limit;
  config.loop.tensorboard = options.report_to == "tensorboard";
  config.settings = {{"method", options.method},
                     {"lora_r", options.lora_r},
                     {"lora_expert_rank", options.experts.Rank()},
                     {"lora_shared_outer", options.experts.lora_shared_outer},
                     {"lora_alpha", options.lora_alpha},
                     {"target_modules", options.target_modules},
                     {"task", options.task},
                     {"grader", options.grader},
                     {"rewards", options.rewards},
                     {"difficulty", options.difficulty.value_or(0)},
                     {"micro_batch_tokens", options.micro_batch_tokens}};
  return config;
}

// What the options only name.
void AddFingerprints(const RlOptions& options, RlJob* job) {
  std::vector<std::string> files;
  for (const std::string& path : options.data) files.push_back(ReadFile(path));
  Json& settings = job->config.settings;
  settings["data"] = FingerprintOf(files);
  settings["chat_template"] = FingerprintOf(std::array{job->chat_template->source()});
  settings["model"] = FingerprintOf(*job->loaded.model);
  settings["dtype"] = DTypeName(job->loaded.model->compute());
}

void ChooseCheckpoint(const RlOptions& options, RlJob* job) {
  if (!options.resume) return;
  const std::vector<CheckpointRef> checkpoints = ListCheckpoints(options.output_dir);
  if (checkpoints.empty()) return;
  job->config.loop.resume_from = checkpoints.back().dir;
  job->steps_done = checkpoints.back().step;
}

// How problems are put to the model and what ends its answers.
void ChooseText(RlOptions& options, RlJob* job) {
  const TokenizerBundle& text = job->loaded.Text();
  job->chat_template = ChooseChatTemplate(text, options.chat_template.value_or(""));
  if (!job->chat_template) {
    Fail(ErrorCode::kInvalidArgument,
         "{}: has no chat template, so problems cannot be put to it; give --chat-template plain "
         "for a base model, chatml, or a Jinja file",
         options.model);
  }
  job->config.stop_tokens = StopTokensOf(text, job->loaded.model->config().vocab_size);
  AddStopStrings(*job->chat_template, &options.stop);
  job->config.settings["stop"] = options.stop;
}

void ChooseLearningRate(const Model& model, RlOptions& options, RlJob* job) {
  if (!options.learning_rate) {
    const LearningRateAdvice advice =
        DefaultLearningRate({.model_type = model.config().model_type,
                             .hidden_size = model.config().hidden_size,
                             .lora = options.method == "lora",
                             .rank = options.lora_r,
                             .planned_steps = options.max_steps,
                             .rl = true});
    options.learning_rate = advice.value;
    job->learning_rate_reason = advice.reason;
  }
  job->config.learning_rate = *options.learning_rate;
}

// A resumed run takes up what the first one chose: one of more steps would look further.
std::optional<int> RecordedLongestPrompt(const std::string& checkpoint) {
  if (checkpoint.empty()) return std::nullopt;
  const Json state = ReadRunState(checkpoint);
  try {
    return state.at("settings").at("max_prompt_tokens").get<int>();
  } catch (const Json::exception&) {
    return std::nullopt;  // the loop will say what is wrong with the file
  }
}

// Chooses max_prompt_tokens, and returns the longest sequence with a completion.
int64_t LongestSequence(RlOptions& options, const PromptWriter& writer, RlJob* job) {
  if (!options.max_prompt_tokens) {
    options.max_prompt_tokens = RecordedLongestPrompt(job->config.loop.resume_from);
  }
  if (!options.max_prompt_tokens) {
    const RlConfig& config = job->config;
    const int64_t asked = config.loop.max_steps * config.groups_per_step * config.max_rounds;
    options.max_prompt_tokens = static_cast<int>(LongestPrompt(writer, job->hooks.problem, asked));
  }
  job->config.max_prompt_tokens = *options.max_prompt_tokens;
  const int64_t longest =
      std::max(job->config.max_prompt_tokens, LongestPrompt(writer, job->hooks.heldout));
  return longest + options.max_tokens;
}

// Full fine-tuning moves its base: the KL to it needs a second copy.
bool NeedsReference(const RlOptions& options, const RlConfig& config) {
  return options.method == "full" && (options.kl_coef > 0 || config.base_kl_steps > 0);
}

void CheckBits(RlJob* job) {
  const EngineProbe::Check check = CheckRowBits(job->loaded.model->compute());
  if (check.ok) return;
  job->notes.push_back(fmt::format(
      "on this machine rows of a product depend on the batch size ({}), so the sampler's "
      "log-probabilities are only near the trainer's; the importance ratios correct for it, and "
      "sampling/logp_difference_max shows how far apart they are",
      check.detail));
}

void MakeRun(const RlOptions& options, int64_t longest, RlJob* job) {
  Model& model = *job->loaded.model;
  TrainingShape shape;
  shape.method = options.method == "full" ? Method::kFull : Method::kLora;
  shape.lora_r = options.lora_r;
  shape.lora_expert_rank = options.experts.Rank();
  shape.lora_shared_outer = options.experts.lora_shared_outer;
  shape.target_modules = options.target_modules;
  shape.compute = model.compute();
  shape.tokens_per_microbatch = std::max<int64_t>(options.micro_batch_tokens, longest);
  shape.sequence_length = longest;
  shape.shared_prefixes = true;
  const GeneratorLimits limits = {
      .slots = std::min<int64_t>(int64_t{options.prompts_per_step} * options.group_size, 64),
      .capacity = longest};
  const MemoryAtHand memory = {.resident = static_cast<int64_t>(model.OwnedBytes()),
                               .available = ReadMemory().available};
  const DType stored = MatrixDtype(model.source());
  const RecomputeChoice recompute =
      ChooseRecompute(model.config(), shape, stored, ParseRecompute(options.recompute), memory);
  shape.recompute = recompute.recompute;
  job->recompute_reason = recompute.reason;
  std::vector<MemoryPart> parts = PlanTrainingMemory(model.config(), shape, stored);
  parts.push_back({"sampling", Generator::Bytes(model, limits)});
  const bool needs_reference = NeedsReference(options, job->config);
  if (needs_reference) parts.push_back({"the base, for its KL", model.OwnedBytes()});
  job->planned_bytes = static_cast<int64_t>(TotalBytes(parts));
  if (!memory.Holds(parts)) {
    Fail(ErrorCode::kOutOfMemory,
         "training and sampling need {}, {} are free; lower --micro-batch-tokens, --group-size or "
         "--max-tokens, or give --recompute block",
         HumanBytes(job->planned_bytes), HumanBytes(memory.All()));
  }
  const RunOptions run{.recompute = shape.recompute,
                       .tokens_per_microbatch = shape.tokens_per_microbatch};
  if (shape.method == Method::kFull) {
    job->run = std::make_unique<TrainingRun>(model, run);
  } else {
    LoraConfig lora;
    lora.r = options.lora_r;
    lora.expert_r = options.experts.Rank();
    lora.shared_outer = options.experts.lora_shared_outer;
    job->expert_notes = ExpertNotes(model.config(), shape);
    lora.lora_alpha = static_cast<float>(options.lora_alpha);
    lora.target_modules = options.target_modules;
    job->run = std::make_unique<TrainingRun>(
        model, LoraAdapter::Create(model, lora, static_cast<uint64_t>(options.seed)), run);
  }
  if (needs_reference) {
    job->reference = LoadModel(options.model, ParseComputeDtype(options.dtype));
    job->run->SetReference(job->reference->model.get());
  }
  job->generator = std::make_unique<Generator>(model, limits);
}

void CollectFiles(const RlOptions& options, RlJob* job) {
  job->text_files = job->loaded.text_files;
  if (options.chat_template) ReplaceChatTemplate(job->text_files, job->chat_template->source());
  RlOptions resolved = options;
  resolved.resume = resolved.overwrite_output_dir = false;
  job->text_files.push_back({"config.yaml", ToYaml(OptionTable(resolved))});
}

}  // namespace

RlJob PrepareRl(RlOptions& options) {
  CheckOutputDir(options.output_dir, {options.model},
                 options.resume || options.overwrite_output_dir);
  RlJob job;
  ResolveRewards(options);
  ChooseProblems(options, &job.hooks);
  job.hooks.reward = MakeReward(options);
  job.config = ConfigOf(options);
  ChooseCheckpoint(options, &job);
  job.loaded = LoadModel(options.model, ParseComputeDtype(options.dtype));
  ChooseText(options, &job);
  AddFingerprints(options, &job);
  ChooseLearningRate(*job.loaded.model, options, &job);
  const PromptWriter writer{job.loaded.Text(), *job.chat_template};
  const int64_t longest = LongestSequence(options, writer, &job);
  CheckBits(&job);
  MakeRun(options, longest, &job);
  CollectFiles(options, &job);
  return job;
}

}  // namespace lorikeet
