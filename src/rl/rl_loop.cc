#include "rl/rl_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>

#include "core/error.h"
#include "core/file.h"
#include "core/format.h"
#include "core/metrics.h"
#include "core/random.h"
#include "rl/rl_report.h"
#include "train/checkpoint.h"
#include "train/run_settings.h"

namespace lorikeet {
namespace {

constexpr int64_t kRunStateFormat = 1;  // of run_state.json

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
  std::vector<Group> Sample();
  // Passes over the samples; fills what the report says of them.
  void Update(const PolicyBatch& batch, StepReport* report);
  void EvaluateHeldOut();
  void SaveCheckpoint();
  Json Settings() const;
  void Note(const std::string& text) const {
    if (hooks_.progress != nullptr) hooks_.progress->Note(text);
  }
  bool StopRequested() const { return hooks_.stop_requested && hooks_.stop_requested(); }
  bool Due(int64_t every) const {
    return step_ == config_.max_steps || (every > 0 && step_ % every == 0);
  }

  TrainingRun& run_;
  Generator& generator_;
  const PromptWriter& writer_;
  const RlConfig& config_;
  const RlHooks& hooks_;
  std::optional<MetricsWriter> metrics_;
  int64_t step_ = 0, updates_ = 0, saved_step_ = -1, evaluated_step_ = -1;
  RlResult result_;
};

RlResult RlLoop::Run() {
  Begin();
  while (true) {
    if (step_ < config_.max_steps && StopRequested()) {
      result_.interrupted = true;
      break;
    }
    if (evaluated_step_ != step_ && (step_ == 0 || Due(config_.eval_steps))) EvaluateHeldOut();
    if (step_ > 0 && saved_step_ != step_ && Due(config_.save_steps)) SaveCheckpoint();
    if (step_ >= config_.max_steps) break;
    Step();
  }
  if (step_ > 0 && saved_step_ != step_) SaveCheckpoint();
  if (!result_.interrupted) {
    run_.SaveWeights(config_.output_dir);
    if (hooks_.save_text_files) hooks_.save_text_files(config_.output_dir);
  }
  metrics_->Sync();
  result_.steps = step_;
  return result_;
}

void RlLoop::Begin() {
  std::error_code error;
  std::filesystem::create_directories(config_.output_dir + "/transcripts", error);
  if (error) Fail(ErrorCode::kIo, "{}: cannot create: {}", config_.output_dir, error.message());
  CleanLeftovers(config_.output_dir);
  if (!config_.resume_from.empty()) Resume();
  metrics_.emplace(MetricsWriter::Settings{
      .dir = config_.output_dir, .steps_done = step_, .tensorboard = config_.tensorboard});
}

std::vector<Group> RlLoop::Sample() {
  std::vector<Group> groups;
  for (int64_t g = 0; g < config_.groups_per_step; ++g) {
    groups.push_back(writer_.Write(hooks_.problem(step_ * config_.groups_per_step + g)));
  }
  RolloutConfig rollouts{.group_size = config_.group_size};
  rollouts.sampling.max_tokens = config_.max_tokens;
  rollouts.sampling.stop_tokens = config_.stop_tokens;
  constexpr uint64_t kSeeds = uint64_t{1} << 62;
  rollouts.sampling.seed =
      RandomStream(config_.seed, "rl samples").Below(static_cast<uint64_t>(step_), kSeeds);
  SampleRollouts(generator_, writer_, rollouts, hooks_.reward, groups);
  return groups;
}

void RlLoop::Update(const PolicyBatch& batch, StepReport* report) {
  if (batch.divisor == 0) return;
  std::vector<const Example*> examples;
  for (const Example& example : batch.examples) examples.push_back(&example);
  OptimParams optim = config_.optim;
  optim.learning_rate = config_.learning_rate;
  optim.grad_divisor = batch.divisor;
  for (int64_t pass = 0; pass < config_.updates_per_batch; ++pass) {
    const ForwardBackwardOutput output = run_.ForwardBackward(examples, config_.objective.loss);
    if (pass == 0) {
      report->logp_difference = LargestLogprobDifference(batch, output.logprobs);
      report->loss = output.loss_sum / batch.divisor;
    }
    report->grad_norm = run_.OptimStep(optim).grad_norm;
    report->largest_ratio = LargestRatio(batch, output.logprobs);
    result_.trained_tokens += output.tokens;
    ++updates_;
  }
  generator_.ForgetPrefixes();
}

void RlLoop::Step() {
  const double begin = Now();
  const std::vector<Group> groups = Sample();
  const double sampled = Now();
  StepReport report = ReportOf(groups);
  const int64_t trained_before = result_.trained_tokens;
  Update(MakePolicyBatch(groups, config_.objective), &report);
  report.sampling_seconds = sampled - begin;
  report.training_seconds = Now() - sampled;
  report.trained_tokens = result_.trained_tokens - trained_before;
  report.learning_rate = config_.learning_rate;
  ++step_;
  if (step_ == 1) result_.first_reward = report.reward;
  result_.last_reward = report.reward;
  result_.largest_logp_difference =
      std::max(result_.largest_logp_difference, report.logp_difference);
  result_.sampling_seconds += report.sampling_seconds;
  result_.training_seconds += report.training_seconds;
  result_.sampled_tokens += report.sampled_tokens;
  metrics_->Write(step_, MetricsOf(report));
  WriteFileAtomically(fmt::format("{}/transcripts/step-{:06d}.txt", config_.output_dir, step_),
                      Transcript(groups));
  if (hooks_.progress == nullptr) return;
  hooks_.progress->Update(
      {.step = step_,
       .total = config_.max_steps,
       .loss = report.reward,
       .learning_rate = config_.learning_rate,
       .tokens_per_second = static_cast<double>(report.sampled_tokens + report.trained_tokens) /
                            (report.sampling_seconds + report.training_seconds)});
}

void RlLoop::EvaluateHeldOut() {
  evaluated_step_ = step_;
  if (hooks_.heldout.empty()) return;
  const double begin = Now();
  std::vector<Group> groups;
  for (const Problem& problem : hooks_.heldout) groups.push_back(writer_.Write(problem));
  RolloutConfig greedy{.group_size = 1};
  greedy.sampling.max_tokens = config_.max_tokens;
  greedy.sampling.stop_tokens = config_.stop_tokens;
  greedy.sampling.temperature = 0;
  SampleRollouts(generator_, writer_, greedy, hooks_.reward, groups);
  const StepReport report = ReportOf(groups);
  if (!result_.before) result_.before = report.accuracy;
  result_.after = report.accuracy;
  metrics_->Write(step_, {{"eval_reward", report.reward},
                          {"eval_pass@1", report.accuracy},
                          {"eval_completions/mean_length", report.mean_length},
                          {"eval_invalid", static_cast<double>(report.invalid)}});
  Note(fmt::format("step {}: {} of {} held-out problems solved ({})", step_,
                   Percent(report.accuracy), hooks_.heldout.size(), HumanDuration(Now() - begin)));
  if (step_ == 0 && report.accuracy == 0) {
    Note(
        "the model solves none of the held-out problems: where no sample is ever right there is "
        "nothing to learn from; an easier --difficulty, or sft first, gives it a start");
  }
}

Json RlLoop::Settings() const {
  Json settings = config_.settings;
  settings["objective"] = config_.objective.name;
  settings["groups_per_step"] = config_.groups_per_step;
  settings["group_size"] = config_.group_size;
  settings["updates_per_batch"] = config_.updates_per_batch;
  settings["max_tokens"] = config_.max_tokens;
  settings["seed"] = config_.seed;
  settings["learning_rate"] = config_.learning_rate;
  settings["max_grad_norm"] = config_.optim.max_grad_norm;
  return settings;
}

void RlLoop::SaveCheckpoint() {
  const std::string dir = CheckpointDir(config_.output_dir, step_);
  metrics_->Sync();
  WriteCheckpoint(dir, run_,
                  {.trainer_state = {{"global_step", step_}, {"max_steps", config_.max_steps}},
                   .run_state = {{"format", kRunStateFormat},
                                 {"step", step_},
                                 {"updates", updates_},
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
