#include "rl/rl_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/clock.h"
#include "core/error.h"
#include "core/file.h"
#include "core/format.h"
#include "core/metrics.h"
#include "core/random.h"
#include "rl/overlong.h"
#include "rl/rl_monitor.h"
#include "rl/rl_report.h"

namespace lorikeet {
namespace {

constexpr int64_t kRunStateFormat = 3;  // version of run_state.json

class RlRecipe {
 public:
  RlRecipe(TrainingRun& run, Generator& generator, const ChatFormat& format, const RlConfig& config,
           const RlHooks& hooks)
      : run_(run),
        generator_(generator),
        format_(format),
        config_(config),
        hooks_(hooks),
        reward_([this, reward = hooks.reward ? hooks.reward : GraderReward()](
                    std::span<const RewardRequest> requests) {
          return CheckedGrades(reward(requests));
        }),
        loop_(run, config.loop, hooks.loop) {}
  RlResult Run();

 private:
  StepOutput Step();
  // A group without rollouts for the next problem whose prompt is short enough.
  Group NextPrompt();
  std::vector<Grade> CheckedGrades(std::vector<Grade> grades);
  // Whether a stop was requested and rewards are missing: the step or evaluation is given up.
  bool GivenUp() const { return loop_.StopRequested() && missing_; }
  std::string WhyNothing() const;
  std::vector<Group> SampleRound(int64_t count, int64_t round);
  // Samples all groups of a step. The first *to_learn of them are trained on.
  std::vector<Group> Sample(StepReport* report, int64_t* to_learn);
  StepOutput Account(const StepReport& report, std::span<const Group> groups);
  Evaluated Evaluate();
  Json State() const;
  int64_t Restore(const Json& state);

  TrainingRun& run_;
  Generator& generator_;
  const ChatFormat& format_;
  const RlConfig& config_;
  const RlHooks& hooks_;
  RewardFunction reward_;  // that of the hooks, with its grades checked
  TrainLoop loop_;
  int64_t next_problem_ = 0;
  bool graded_ = false;   // whether a batch of this process has been graded
  bool missing_ = false;  // whether the last batch lacks rewards
  RlMonitor monitor_;
  SignalTotals signal_;
  RlResult result_;
};

RlResult RlRecipe::Run() {
  if (config_.learning_rate == 0) loop_.Note("warning: the learning rate is 0: nothing is learned");
  CreateFolders(config_.loop.output_dir + "/transcripts");
  const int64_t total = config_.loop.max_steps;
  const LoopResult done =
      loop_.Run({.total_steps = total,
                 .state_format = kRunStateFormat,
                 .settings = config_.settings,
                 .step = [this] { return Step(); },
                 .evaluate = [this] { return Evaluate(); },
                 .state = [this] { return State(); },
                 .restore = [this](const Json& state) { return Restore(state); },
                 .trainer_state =
                     [this, total] {
                       return Json{{"global_step", loop_.step()}, {"max_steps", total}};
                     },
                 .why_nothing_learned = [this] { return WhyNothing(); }});
  result_.steps = done.steps;
  result_.interrupted = done.interrupted;
  result_.checkpoint = done.checkpoint;
  result_.nothing_learned = done.nothing_learned;
  result_.first_reward = monitor_.first_reward();
  result_.last_reward = monitor_.RecentReward();
  result_.runaway = monitor_.runaway();
  result_.steps_without_signal = signal_.steps_without_signal();
  return result_;
}

// Fails if no reward of the first batch can be used, all for the same reason: so will the next
// ones.
std::vector<Grade> RlRecipe::CheckedGrades(std::vector<Grade> grades) {
  missing_ = std::any_of(grades.begin(), grades.end(),
                         [](const Grade& g) { return g.verdict == Verdict::kInvalid; });
  if (grades.empty() || std::exchange(graded_, true) || loop_.StopRequested()) return grades;
  const Grade& first = grades.front();
  const bool all = std::all_of(grades.begin(), grades.end(), [&first](const Grade& g) {
    return g.verdict == Verdict::kInvalid && g.refusal == first.refusal;
  });
  if (!all || first.refusal.empty()) return grades;
  const std::string detail = first.reason == first.refusal ? "" : "; the first: " + first.reason;
  Fail(ErrorCode::kUnsupported,
       "no reward of the first batch of {} completions can be used: {}{}; nothing is lost: once "
       "rewards come, give the same command with --resume",
       grades.size(), first.refusal, detail);
}

std::string RlRecipe::WhyNothing() const {
  if (config_.learning_rate == 0) return "the learning rate is 0; give --learning-rate";
  return signal_.WhyNothing();
}

Group RlRecipe::NextPrompt() {
  constexpr int64_t kMaxSkipped = 10000;  // consecutive problems, then an error
  for (int64_t skipped = 0; skipped < kMaxSkipped; ++skipped) {
    Group group = format_.MakeGroup(hooks_.problem(next_problem_++));
    const auto length = static_cast<int64_t>(group.prompt.size());
    if (config_.max_prompt_tokens == 0 || length <= config_.max_prompt_tokens) return group;
    if (result_.skipped_problems++ > 0) continue;
    loop_.Note(fmt::format(
        "{}: its prompt has {} tokens, more than {}: skipped, and so are others like it; raise "
        "--max-prompt-tokens to train on them",
        group.problem.id, length, config_.max_prompt_tokens));
  }
  Fail(ErrorCode::kInvalidArgument,
       "{} problems in a row have prompts of more than {} tokens; raise --max-prompt-tokens",
       kMaxSkipped, config_.max_prompt_tokens);
}

std::vector<Group> RlRecipe::SampleRound(int64_t count, int64_t round) {
  std::vector<Group> groups;
  for (int64_t g = 0; g < count; ++g) groups.push_back(NextPrompt());
  RolloutConfig rollouts{.group_size = config_.group_size};
  rollouts.sampling.max_tokens = config_.max_tokens;
  rollouts.sampling.temperature = config_.update.objective.loss.temperature;
  rollouts.sampling.stop_tokens = config_.stop_tokens;
  constexpr uint64_t kSeeds = uint64_t{1} << 62;
  const auto index = static_cast<uint64_t>(loop_.step() * config_.max_rounds + round);
  rollouts.sampling.seed = RandomStream(config_.seed, "rl samples").Below(index, kSeeds);
  rollouts.adapter = run_.Snapshot();
  SampleRollouts(generator_, format_, rollouts, reward_, groups);
  return groups;
}

bool HasSignal(const Group& group) {
  std::vector<Grade> grades;
  for (const Rollout& rollout : group.rollouts) grades.push_back(rollout.grade);
  return AdvantagesOf(grades, AdvantageKind::kCentred).has_signal;
}

std::vector<Group> RlRecipe::Sample(StepReport* report, int64_t* to_learn) {
  std::vector<Group> groups;
  *to_learn = 0;
  report->rounds = 0;
  while (*to_learn < config_.groups_per_step && report->rounds < config_.max_rounds) {
    for (Group& group : SampleRound(config_.groups_per_step - *to_learn, report->rounds)) {
      const bool wanted = config_.max_rounds == 1 || HasSignal(group);
      // Keeps the order of sampling, so that mini-batches do not depend on replaced groups.
      const auto at = wanted ? groups.begin() + (*to_learn)++ : groups.end();
      groups.insert(at, std::move(group));
    }
    ++report->rounds;
    if (GivenUp()) return groups;
  }
  // After HasSignal: completions that are all wrong have no signal, whatever their lengths.
  if (config_.overlong_buffer > 0) {
    AddOverlongPenalties(config_.max_tokens, config_.overlong_buffer, groups);
  }
  return groups;
}

StepOutput RlRecipe::Step() {
  const double begin = Now();
  StepReport sampling;
  int64_t to_learn = 0;
  const int64_t next_problem = next_problem_, skipped = result_.skipped_problems;
  const std::vector<Group> groups = Sample(&sampling, &to_learn);
  if (GivenUp()) {
    next_problem_ = next_problem;
    result_.skipped_problems = skipped;
    return {.stopped = true};
  }
  const double sampled = Now();
  StepReport report = ReportOf(groups);
  report.rounds = sampling.rounds;
  UpdateConfig update = config_.update;
  update.optim.learning_rate = config_.learning_rate;
  update.measure_base_kl = config_.base_kl_steps > 0 && loop_.step() % config_.base_kl_steps == 0;
  report.update =
      UpdatePolicy(loop_.guarded(), std::span(groups).first(static_cast<size_t>(to_learn)), update);
  report.sampling_seconds = sampled - begin;
  report.training_seconds = Now() - sampled;
  report.learning_rate = config_.learning_rate;
  return Account(report, groups);
}

StepOutput RlRecipe::Account(const StepReport& report, std::span<const Group> groups) {
  const int64_t step = loop_.step() + 1;
  result_.largest_logp_difference =
      std::max(result_.largest_logp_difference, report.update.first.logp_difference);
  result_.sampling_seconds += report.sampling_seconds;
  result_.training_seconds += report.training_seconds;
  result_.samples += report.completions + report.invalid;
  result_.sampled_tokens += report.sampled_tokens;
  result_.trained_tokens += report.update.tokens;
  const std::vector<std::string> notes = monitor_.Observe(report);
  signal_.Observe(report);
  Metrics metrics = MetricsOf(report);
  metrics.emplace_back("completions/runaway", monitor_.runaway() ? 1 : 0);
  const LoopOptions& loop = config_.loop;
  if (loop.keep_result || step == loop.max_steps) {
    WriteFileAtomically(fmt::format("{}/transcripts/step-{:06d}.txt", loop.output_dir, step),
                        Transcript(groups));
  }
  for (const std::string& note : notes) loop_.Note(fmt::format("step {}: {}", step, note));
  return {.metrics = std::move(metrics),
          .progress = {.loss = report.reward,
                       .learning_rate = config_.learning_rate,
                       .tokens_per_second =
                           static_cast<double>(report.sampled_tokens + report.update.tokens) /
                           (report.sampling_seconds + report.training_seconds)}};
}

Evaluated RlRecipe::Evaluate() {
  if (hooks_.heldout.empty()) return Evaluated::kDone;
  const int64_t step = loop_.step();
  const double begin = Now();
  HeldOutConfig config{.samples = config_.eval_samples};
  config.sampling.max_tokens = config_.max_tokens;
  config.sampling.temperature = config_.update.objective.loss.temperature;
  config.sampling.stop_tokens = config_.stop_tokens;
  config.sampling.seed = config_.seed;
  config.adapter = run_.Snapshot();
  const HeldOutResult e = EvaluateHeldOut(generator_, format_, config, reward_, hooks_.heldout);
  if (GivenUp()) return Evaluated::kStopped;
  if (step == 0) result_.before = e;
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
  loop_.Write(metrics);
  loop_.Note(fmt::format("step {}: of {} held-out problems {} solved greedily{} ({})", step,
                         hooks_.heldout.size(), Percent(e.accuracy), passed,
                         HumanDuration(Now() - begin)));
  const bool never = e.accuracy == 0 && (e.pass_at.empty() || e.pass_at.back().second == 0);
  if (step == 0 && never) {
    loop_.Note(
        "the model solves none of the held-out problems: without correct samples there is nothing "
        "to learn from; start with an easier --difficulty, or with sft");
  }
  return Evaluated::kDone;
}

Json RlRecipe::State() const {
  return {{"updates", run_.optim_steps()},
          {"next_problem", next_problem_},
          {"skipped_problems", result_.skipped_problems},
          {"heldout_before", result_.before ? result_.before->ToJson() : Json()},
          {"watch", monitor_.ToJson()},
          {"signal", signal_.ToJson()}};
}

int64_t RlRecipe::Restore(const Json& state) {
  next_problem_ = state.at("next_problem").get<int64_t>();
  result_.skipped_problems = state.at("skipped_problems").get<int64_t>();
  const Json& before = state.at("heldout_before");
  if (!before.is_null()) result_.before = HeldOutResult::FromJson(before);
  monitor_.FromJson(state.at("watch"));
  // Missing in checkpoints of older versions.
  if (state.contains("signal")) signal_.FromJson(state.at("signal"));
  return state.at("updates").get<int64_t>();
}

}  // namespace

RlResult TrainRl(TrainingRun& run, Generator& generator, const ChatFormat& format,
                 const RlConfig& config, const RlHooks& hooks) {
  return RlRecipe(run, generator, format, config, hooks).Run();
}

}  // namespace lorikeet
