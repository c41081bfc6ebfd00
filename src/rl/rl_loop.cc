#include "rl/rl_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "core/error.h"
#include "core/file.h"
#include "core/format.h"
#include "core/metrics.h"
#include "core/random.h"
#include "rl/overlong.h"
#include "rl/rl_report.h"
#include "rl/rl_watch.h"
#include "train/checkpoint.h"
#include "train/run_settings.h"

namespace lorikeet {
namespace {

constexpr int64_t kRunStateFormat = 3;  // of run_state.json

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class RlLoop {
 public:
  RlLoop(TrainingRun& run, Generator& generator, const PromptWriter& writer, const RlConfig& config,
         const RlHooks& hooks)
      : run_(run), generator_(generator), writer_(writer), config_(config), hooks_(hooks) {}
  RlResult Run();

 private:
  void Begin();
  void Resume();
  void Step();
  // The next problem that is short enough, as a prompt.
  Group NextPrompt();
  std::vector<Group> SampleRound(int64_t count, int64_t round);
  // All groups of a step; those to learn from come first, and their number goes to *to_learn.
  std::vector<Group> Sample(StepReport* report, int64_t* to_learn);
  void Account(const StepReport& report, std::span<const Group> groups);
  void EvaluateHeldOut();
  void SaveCheckpoint();
  Json Settings() const;
  void Note(const std::string& text) const {
    if (hooks_.progress != nullptr) hooks_.progress->Note(text);
  }
  bool StopRequested() const { return hooks_.stop_requested && hooks_.stop_requested(); }
  bool Every(int64_t steps) const { return steps > 0 && step_ % steps == 0; }
  bool AtEnd() const { return step_ >= config_.max_steps; }
  bool EvaluationIsDue() const;
  bool CheckpointIsDue() const {
    return step_ > 0 && (Every(config_.save_steps) || (config_.keep_result && AtEnd()));
  }

  TrainingRun& run_;
  Generator& generator_;
  const PromptWriter& writer_;
  const RlConfig& config_;
  const RlHooks& hooks_;
  std::optional<MetricsWriter> metrics_;
  int64_t step_ = 0, updates_ = 0, saved_step_ = -1, evaluated_step_ = -1;
  int64_t next_problem_ = 0;
  RlWatch watch_;
  RlResult result_;
};

RlResult RlLoop::Run() {
  Begin();
  while (true) {
    if (!AtEnd() && StopRequested()) {
      result_.interrupted = true;
      break;
    }
    if (evaluated_step_ != step_ && EvaluationIsDue()) EvaluateHeldOut();
    if (saved_step_ != step_ && CheckpointIsDue()) SaveCheckpoint();
    if (AtEnd()) break;
    Step();
  }
  if (result_.interrupted && step_ > 0 && saved_step_ != step_) SaveCheckpoint();
  if (!result_.interrupted && config_.keep_result) {
    run_.SaveWeights(config_.output_dir);
    if (hooks_.save_text_files) hooks_.save_text_files(config_.output_dir);
  }
  metrics_->Sync();
  result_.steps = step_;
  result_.first_reward = watch_.first_reward();
  result_.last_reward = watch_.RecentReward();
  result_.runaway = watch_.runaway();
  return result_;
}

bool RlLoop::EvaluationIsDue() const {
  return step_ == 0 || AtEnd() || Every(config_.eval_steps) ||
         std::find(config_.eval_at.begin(), config_.eval_at.end(), step_) != config_.eval_at.end();
}

void RlLoop::Begin() {
  CreateFolders(config_.output_dir + "/transcripts");
  CleanLeftovers(config_.output_dir);
  if (!config_.resume_from.empty()) Resume();
  metrics_.emplace(MetricsWriter::Settings{
      .dir = config_.output_dir, .steps_done = step_, .tensorboard = config_.tensorboard});
}

Group RlLoop::NextPrompt() {
  constexpr int64_t kMostSkipped = 10000;  // in a row: then there is none
  for (int64_t skipped = 0; skipped < kMostSkipped; ++skipped) {
    Group group = writer_.Write(hooks_.problem(next_problem_++));
    const auto length = static_cast<int64_t>(group.prompt.size());
    if (config_.max_prompt_tokens == 0 || length <= config_.max_prompt_tokens) return group;
    if (result_.skipped_problems++ > 0) continue;
    Note(fmt::format(
        "{}: its prompt has {} tokens, more than {}: passed over, and so are others like it; raise "
        "--max-prompt-tokens to train on them",
        group.problem.id, length, config_.max_prompt_tokens));
  }
  Fail(ErrorCode::kInvalidArgument,
       "{} problems in a row have prompts of more than {} tokens; raise --max-prompt-tokens",
       kMostSkipped, config_.max_prompt_tokens);
}

std::vector<Group> RlLoop::SampleRound(int64_t count, int64_t round) {
  std::vector<Group> groups;
  for (int64_t g = 0; g < count; ++g) groups.push_back(NextPrompt());
  RolloutConfig rollouts{.group_size = config_.group_size};
  rollouts.sampling.max_tokens = config_.max_tokens;
  rollouts.sampling.temperature = config_.update.objective.loss.temperature;
  rollouts.sampling.stop_tokens = config_.stop_tokens;
  constexpr uint64_t kSeeds = uint64_t{1} << 62;
  const auto index = static_cast<uint64_t>(step_ * config_.max_rounds + round);
  rollouts.sampling.seed = RandomStream(config_.seed, "rl samples").Below(index, kSeeds);
  SampleRollouts(generator_, writer_, rollouts, hooks_.reward, groups);
  return groups;
}

bool HasSignal(const Group& group) {
  std::vector<Grade> grades;
  for (const Rollout& rollout : group.rollouts) grades.push_back(rollout.grade);
  return AdvantagesOf(grades, AdvantageKind::kCentred).has_signal;
}

std::vector<Group> RlLoop::Sample(StepReport* report, int64_t* to_learn) {
  std::vector<Group> groups;
  *to_learn = 0;
  report->rounds = 0;
  while (*to_learn < config_.groups_per_step && report->rounds < config_.max_rounds) {
    for (Group& group : SampleRound(config_.groups_per_step - *to_learn, report->rounds)) {
      const bool wanted = config_.max_rounds == 1 || HasSignal(group);
      // In the order of sampling, so that mini-batches do not depend on what was thrown away.
      const auto at = wanted ? groups.begin() + (*to_learn)++ : groups.end();
      groups.insert(at, std::move(group));
    }
    ++report->rounds;
  }
  // Only now: answers that are all wrong have no signal, however their lengths differ.
  if (config_.overlong_buffer > 0) {
    AddOverlongPenalties(config_.max_tokens, config_.overlong_buffer, groups);
  }
  return groups;
}

void RlLoop::Step() {
  const double begin = Now();
  StepReport sampling;
  int64_t to_learn = 0;
  const std::vector<Group> groups = Sample(&sampling, &to_learn);
  const double sampled = Now();
  StepReport report = ReportOf(groups);
  report.rounds = sampling.rounds;
  UpdateConfig update = config_.update;
  update.optim.learning_rate = config_.learning_rate;
  update.measure_base_kl = config_.base_kl_steps > 0 && step_ % config_.base_kl_steps == 0;
  report.update =
      UpdatePolicy(run_, std::span(groups).first(static_cast<size_t>(to_learn)), update);
  if (report.update.updates > 0) generator_.ForgetPrefixes();
  report.sampling_seconds = sampled - begin;
  report.training_seconds = Now() - sampled;
  report.learning_rate = config_.learning_rate;
  ++step_;
  Account(report, groups);
}

void RlLoop::Account(const StepReport& report, std::span<const Group> groups) {
  updates_ += report.update.updates;
  result_.largest_logp_difference =
      std::max(result_.largest_logp_difference, report.update.first.logp_difference);
  result_.sampling_seconds += report.sampling_seconds;
  result_.training_seconds += report.training_seconds;
  result_.samples += report.completions + report.invalid;
  result_.sampled_tokens += report.sampled_tokens;
  result_.trained_tokens += report.update.tokens;
  const std::vector<std::string> notes = watch_.Look(report);
  Metrics metrics = MetricsOf(report);
  metrics.emplace_back("completions/runaway", watch_.runaway() ? 1 : 0);
  metrics_->Write(step_, metrics);
  if (config_.keep_result || AtEnd()) {
    WriteFileAtomically(fmt::format("{}/transcripts/step-{:06d}.txt", config_.output_dir, step_),
                        Transcript(groups));
  }
  for (const std::string& note : notes) Note(fmt::format("step {}: {}", step_, note));
  if (hooks_.progress == nullptr) return;
  hooks_.progress->Update(
      {.step = step_,
       .total = config_.max_steps,
       .loss = report.reward,
       .learning_rate = config_.learning_rate,
       .tokens_per_second = static_cast<double>(report.sampled_tokens + report.update.tokens) /
                            (report.sampling_seconds + report.training_seconds)});
}

void RlLoop::EvaluateHeldOut() {
  evaluated_step_ = step_;
  if (hooks_.heldout.empty()) return;
  const double begin = Now();
  HeldOutConfig config{.samples = config_.eval_samples};
  config.sampling.max_tokens = config_.max_tokens;
  config.sampling.temperature = config_.update.objective.loss.temperature;
  config.sampling.stop_tokens = config_.stop_tokens;
  config.sampling.seed = config_.seed;
  const HeldOutResult e = SolveHeldOut(generator_, writer_, config, hooks_.reward, hooks_.heldout);
  if (step_ == 0) result_.before = e;
  result_.after = e;
  Metrics metrics = {{"eval_accuracy", e.accuracy},
                     {"eval_reward", e.reward},
                     {"eval_completions/mean_length", e.mean_length},
                     {"eval_completions/clipped_ratio", e.truncated},
                     {"eval_completions/invalid", static_cast<double>(e.invalid)}};
  std::string passed;
  for (const auto& [k, share] : e.pass_at) {
    metrics.emplace_back(fmt::format("eval_pass@{}", k), share);
    passed += fmt::format(", pass@{} {}", k, Percent(share));
  }
  metrics_->Write(step_, metrics);
  Note(fmt::format("step {}: of {} held-out problems {} solved greedily{} ({})", step_,
                   hooks_.heldout.size(), Percent(e.accuracy), passed,
                   HumanDuration(Now() - begin)));
  const bool never = e.accuracy == 0 && (e.pass_at.empty() || e.pass_at.back().second == 0);
  if (step_ == 0 && never) {
    Note(
        "the model solves none of the held-out problems: where no sample is ever right there is "
        "nothing to learn from; an easier --difficulty, or sft first, gives it a start");
  }
}

Json RlLoop::Settings() const {
  Json settings = config_.settings;
  const UpdateConfig& update = config_.update;
  settings["objective"] = update.objective.name;
  settings["clip_low"] = update.objective.loss.clip_low;
  settings["clip_high"] = update.objective.loss.clip_high;
  settings["kl_coef"] = update.objective.loss.kl_coef;
  settings["temperature"] = update.objective.loss.temperature;
  settings["minibatches"] = update.minibatches;
  settings["target_kl"] = update.target_kl;
  settings["overlong_buffer"] = config_.overlong_buffer;
  settings["max_rounds"] = config_.max_rounds;
  settings["max_prompt_tokens"] = config_.max_prompt_tokens;
  settings["groups_per_step"] = config_.groups_per_step;
  settings["group_size"] = config_.group_size;
  settings["updates_per_batch"] = update.passes;
  settings["max_tokens"] = config_.max_tokens;
  settings["seed"] = config_.seed;
  settings["learning_rate"] = config_.learning_rate;
  settings["max_grad_norm"] = update.optim.max_grad_norm;
  return settings;
}

void RlLoop::SaveCheckpoint() {
  const std::string dir = CheckpointDir(config_.output_dir, step_);
  metrics_->Sync();
  WriteCheckpoint(
      dir, run_,
      {.trainer_state = {{"global_step", step_}, {"max_steps", config_.max_steps}},
       .run_state = {{"format", kRunStateFormat},
                     {"step", step_},
                     {"updates", updates_},
                     {"next_problem", next_problem_},
                     {"skipped_problems", result_.skipped_problems},
                     {"heldout_before", result_.before ? result_.before->ToJson() : Json()},
                     {"watch", watch_.ToJson()},
                     {"evaluated_step", evaluated_step_},
                     {"settings", Settings()}},
       .text_files = hooks_.save_text_files});
  saved_step_ = step_;
  result_.checkpoint = dir;
  RotateCheckpoints(config_.output_dir, step_, config_.save_total_limit, -1);
}

void RlLoop::Resume() {
  const std::string& dir = config_.resume_from;
  const Json state = ReadRunState(dir);
  try {
    if (state.at("format").get<int64_t>() != kRunStateFormat) {
      Fail(ErrorCode::kUnsupported,
           "{}/run_state.json: written by another version of this program; start anew", dir);
    }
    RequireSameSettings(state.at("settings"), Settings(), dir);
    step_ = state.at("step").get<int64_t>();
    updates_ = state.at("updates").get<int64_t>();
    next_problem_ = state.at("next_problem").get<int64_t>();
    result_.skipped_problems = state.at("skipped_problems").get<int64_t>();
    const Json& before = state.at("heldout_before");
    if (!before.is_null()) result_.before = HeldOutResult::FromJson(before);
    watch_.FromJson(state.at("watch"));
    evaluated_step_ = state.at("evaluated_step").get<int64_t>();
  } catch (const Json::exception& e) {
    Fail(ErrorCode::kCorruptFile, "{}/run_state.json: {}; resume from another checkpoint", dir,
         e.what());
  }
  run_.LoadState(dir);
  if (run_.optim_steps() != updates_) {
    Fail(ErrorCode::kCorruptFile,
         "{}: run_state.json tells of {} updates, training_state.safetensors of {}; resume from "
         "another checkpoint",
         dir, updates_, run_.optim_steps());
  }
  generator_.ForgetPrefixes();
  saved_step_ = step_;
  result_.checkpoint = dir;
  Note(fmt::format("resumed from {} at step {} of {}", dir, step_, config_.max_steps));
}

}  // namespace

RlResult TrainRl(TrainingRun& run, Generator& generator, const PromptWriter& writer,
                 const RlConfig& config, const RlHooks& hooks) {
  return RlLoop(run, generator, writer, config, hooks).Run();
}

}  // namespace lorikeet
