#include "train/sft.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/clock.h"
#include "core/format.h"
#include "core/json.h"
#include "data/epoch.h"
#include "train/checkpoint.h"
#include "train/divergence.h"
#include "train/early_stopping.h"

namespace lorikeet {

int64_t TotalSteps(const SftConfig& config, int64_t num_examples) {
  if (config.loop.max_steps > 0) return config.loop.max_steps;
  const int64_t per_epoch = (num_examples + config.batch_size - 1) / config.batch_size;
  return std::max<int64_t>(
      1, static_cast<int64_t>(std::ceil(config.num_train_epochs * static_cast<double>(per_epoch))));
}

namespace {

constexpr int64_t kRunStateFormat = 2;  // LoopRecipe::state_format

class SftRecipe {
 public:
  SftRecipe(TrainingRun& run, const std::vector<Example>& train,
            const std::vector<Example>& heldout, const SftConfig& config, const SftHooks& hooks);
  SftResult Run();

 private:
  double LargestRate() const;  // over the steps of the run
  void NoteSchedule() const;
  std::string WhyNothing() const;
  StepOutput Step();
  Evaluated EvaluateHeldOut();
  void Finish();
  Json State() const;
  int64_t Restore(const Json& state);
  Json TrainerState() const;

  StepOutput Report(const ForwardBackwardOutput& output, double learning_rate, double grad_norm,
                    double seconds);
  void AddToHistory(const Metrics& metrics);
  std::string TimeNote() const;
  double Utilisation(double tokens_per_second) const;
  double Epochs() const;

  TrainingRun& run_;
  const std::vector<Example>& train_;
  const std::vector<Example>& heldout_;
  const SftConfig& config_;
  const SftHooks& hooks_;

  int64_t total_steps_;
  Schedule schedule_;
  BatchCursor cursor_;
  BestEvaluation best_;
  DivergenceWatch divergence_;
  TrainLoop loop_;

  int64_t tokens_seen_ = 0, trained_tokens_seen_ = 0;  // over all processes
  Json log_history_ = Json::array();
  double smoothed_rate_ = 0;  // tokens per second, for the eye
  SftResult result_;
};

SftRecipe::SftRecipe(TrainingRun& run, const std::vector<Example>& train,
                     const std::vector<Example>& heldout, const SftConfig& config,
                     const SftHooks& hooks)
    : run_(run),
      train_(train),
      heldout_(heldout),
      config_(config),
      hooks_(hooks),
      total_steps_(TotalSteps(config, static_cast<int64_t>(train.size()))),
      schedule_{config.schedule, config.learning_rate,
                WarmupSteps(config.warmup_steps, config.warmup_ratio, total_steps_), total_steps_},
      cursor_({.num_examples = static_cast<int64_t>(train.size()),
               .batch_size = config.batch_size,
               .seed = config.seed,
               .shuffle = config.shuffle}),
      best_(config.early_stopping_patience),
      divergence_(run.model().config().vocab_size),
      loop_(run, config.loop, hooks.loop) {
  result_.total_steps = total_steps_;
}

double SftRecipe::LargestRate() const {
  double largest = 0;
  for (int64_t step = 0; step < total_steps_ && largest < schedule_.peak; ++step) {
    largest = std::max(largest, LearningRateAt(schedule_, step));
  }
  return largest;
}

// Says aloud what makes a schedule useless.
void SftRecipe::NoteSchedule() const {
  const double largest = LargestRate();
  if (largest == 0) {
    loop_.Note("warning: the learning rate is 0 in every step: nothing is learned");
  } else if (schedule_.warmup_steps >= total_steps_) {
    loop_.Note(
        fmt::format("warning: {} warm-up steps are not over after the run's {}: the learning rate "
                    "comes to {:g} "
                    "of {:g} only; lower warmup_steps",
                    schedule_.warmup_steps, total_steps_, largest, schedule_.peak));
  }
}

std::string SftRecipe::WhyNothing() const {
  if (schedule_.peak == 0) return "the learning rate was 0 in every step; give learning_rate";
  if (LargestRate() == 0) {
    return fmt::format(
        "the learning rate was 0 in every step: the run ends at the first of its {} warm-up steps; "
        "lower warmup_steps",
        schedule_.warmup_steps);
  }
  return "no gradient reached a trained parameter, or every update was too small to change one; "
         "see "
         "grad_norm in metrics.jsonl, and give a larger learning_rate or other data";
}

SftResult SftRecipe::Run() {
  NoteSchedule();
  LoopRecipe recipe = {.total_steps = total_steps_,
                       .state_format = kRunStateFormat,
                       .settings = config_.settings,
                       .advice = "a lower learning_rate, or warmup_steps, is the usual cure",
                       .step = [this] { return Step(); },
                       .evaluate = [this] { return EvaluateHeldOut(); },
                       .state = [this] { return State(); },
                       .restore = [this](const Json& state) { return Restore(state); },
                       .trainer_state = [this] { return TrainerState(); },
                       .status =
                           [this] {
                             return RecipeStatus{.done = best_.ShouldStop(),
                                                 .diverging = divergence_.Suspicious(),
                                                 .best_step = best_.step()};
                           },
                       .why_nothing_learned = [this] { return WhyNothing(); },
                       .finish = [this] { Finish(); }};
  if (heldout_.empty()) recipe.evaluate = nullptr;
  const LoopResult done = loop_.Run(recipe);
  result_.steps = done.steps;
  result_.interrupted = done.interrupted;
  result_.checkpoint = done.checkpoint;
  result_.nothing_learned = done.nothing_learned;
  result_.best_step = best_.step();
  return result_;
}

StepOutput SftRecipe::Step() {
  const double start = Now();
  std::vector<const Example*> batch;
  for (const int64_t i : cursor_.Next()) batch.push_back(&train_[static_cast<size_t>(i)]);
  GuardedRun& run = loop_.guarded();
  const ForwardBackwardOutput output = run.ForwardBackward(batch);
  if (const std::string wrong = divergence_.Add(output.MeanLoss()); !wrong.empty()) {
    run.Diverged(wrong + "; the largest gradient is that of " + run.LargestGradient());
  }
  OptimParams optim = config_.optim;
  optim.learning_rate = LearningRateAt(schedule_, loop_.step());
  optim.grad_divisor = output.weight_sum;
  const double grad_norm = run.OptimStep(optim).grad_norm;
  const std::string wrong = divergence_.AddGradient(grad_norm, output.MeanLoss());
  if (!wrong.empty()) run.Diverged(wrong);
  return Report(output, optim.learning_rate, grad_norm, Now() - start);
}

StepOutput SftRecipe::Report(const ForwardBackwardOutput& output, double learning_rate,
                             double grad_norm, double seconds) {
  const double loss = output.MeanLoss(), rate = static_cast<double>(output.tokens) / seconds;
  if (result_.steps_here++ == 0) result_.first_loss = loss;
  result_.last_loss = loss;
  result_.tokens += output.tokens;
  result_.trained_tokens += output.trained_tokens;
  result_.train_seconds += seconds;
  tokens_seen_ += output.tokens;
  trained_tokens_seen_ += output.trained_tokens;
  constexpr double kSmoothing = 0.9;
  smoothed_rate_ =
      smoothed_rate_ == 0 ? rate : kSmoothing * smoothed_rate_ + (1 - kSmoothing) * rate;
  StepOutput step = {.metrics = {{"loss", loss},
                                 {"grad_norm", grad_norm},
                                 {"learning_rate", learning_rate},
                                 {"epoch", Epochs()},
                                 {"num_tokens", static_cast<double>(tokens_seen_)},
                                 {"trained_tokens", static_cast<double>(trained_tokens_seen_)},
                                 {"step_seconds", seconds},
                                 {"tokens_per_second", rate},
                                 {"matmul_utilization", Utilisation(rate)}},
                     .progress = {.loss = loss,
                                  .learning_rate = learning_rate,
                                  .tokens_per_second = smoothed_rate_,
                                  .peak_fraction = Utilisation(smoothed_rate_)},
                     .note = TimeNote()};
  AddToHistory(step.metrics);
  return step;
}

void SftRecipe::AddToHistory(const Metrics& metrics) {
  const int64_t step = loop_.step() + 1;
  const bool logged =
      step == 1 || step == total_steps_ || step % std::max<int64_t>(config_.logging_steps, 1) == 0;
  if (!logged) return;
  Json entry = {{"step", step}};
  for (const auto& [name, value] : metrics) {  // no times: a resumed run writes the same file
    if (name == "loss" || name == "grad_norm" || name == "learning_rate" || name == "epoch") {
      entry[name] = value;
    }
  }
  log_history_.push_back(std::move(entry));
}

double SftRecipe::Utilisation(double tokens_per_second) const {
  if (config_.peak_flops <= 0) return 0;
  return tokens_per_second * config_.flops_per_token / config_.peak_flops;
}

// The plan's estimate, made better by the first steps. The very first also prepares kernels.
std::string SftRecipe::TimeNote() const {
  constexpr int64_t kProbe = 3;
  const int64_t left = total_steps_ - loop_.step() - 1;
  if (result_.steps_here != kProbe || left <= kProbe) return "";
  const double per_step = result_.train_seconds / static_cast<double>(result_.steps_here);
  return fmt::format(
      "the first {} steps ran at {:.0f} tokens/s ({} of the measured peak): about {} for the {} to "
      "come",
      result_.steps_here, result_.TokensPerSecond(),
      Percent(Utilisation(result_.TokensPerSecond())),
      HumanDuration(per_step * static_cast<double>(left)), HumanCount(left));
}

Evaluated SftRecipe::EvaluateHeldOut() {
  const std::optional<Evaluation> evaluation =
      Evaluate(run_, heldout_, [this] { return loop_.StopRequested(); });
  if (!evaluation) return Evaluated::kStopped;
  const int64_t step = loop_.step();
  if (step == 0) result_.before = evaluation;
  result_.after = evaluation;
  const bool better = best_.Add(step, evaluation->nll);
  Metrics metrics = {{"eval_loss", evaluation->nll},
                     {"eval_perplexity", evaluation->Perplexity()},
                     {"eval_bits_per_token", evaluation->BitsPerToken()},
                     {"eval_num_tokens", static_cast<double>(evaluation->trained_tokens)},
                     {"eval_runtime", evaluation->seconds},
                     {"epoch", Epochs()}};
  if (hooks_.also_evaluated) {
    for (auto& metric : hooks_.also_evaluated(run_)) metrics.push_back(std::move(metric));
  }
  loop_.Write(metrics);
  log_history_.push_back({{"step", step}, {"epoch", Epochs()}, {"eval_loss", evaluation->nll}});
  loop_.Note(
      fmt::format("step {}: held-out loss {:.4f}, perplexity {:.3f}, {:.4f} bits per token ({}){}",
                  step, evaluation->nll, evaluation->Perplexity(), evaluation->BitsPerToken(),
                  HumanDuration(evaluation->seconds), better && step > 0 ? ", the best" : ""));
  return better ? Evaluated::kBest : Evaluated::kDone;
}

void SftRecipe::Finish() {
  const int64_t step = loop_.step();
  result_.stopped_early = step < total_steps_;
  if (result_.stopped_early) {
    loop_.Note(fmt::format(
        "stopped early at step {}: no better held-out loss for {} evaluations; the best was {:.4f} "
        "at step {}",
        step, config_.early_stopping_patience, best_.loss(), best_.step()));
  }
  if (!config_.load_best_model_at_end || !best_.any() || best_.step() == step) return;
  const std::string best_dir = CheckpointDir(config_.loop.output_dir, best_.step());
  if (best_.step() > 0 && std::filesystem::exists(best_dir)) {
    run_.LoadState(best_dir);
    result_.holds_best = true;
    return;
  }
  loop_.Note(
      best_.step() == 0
          ? "no evaluation was better than the model before training; the last state is kept"
          : fmt::format("{}: the best checkpoint is gone; the last state is kept", best_dir));
}

Json SftRecipe::State() const {
  return {{"cursor", cursor_.ToJson()},
          {"best", best_.ToJson()},
          {"divergence", divergence_.ToJson()},
          {"num_tokens", tokens_seen_},
          {"trained_tokens", trained_tokens_seen_},
          {"log_history", log_history_}};
}

int64_t SftRecipe::Restore(const Json& state) {
  cursor_.Restore(state.at("cursor"));
  best_.Restore(state.at("best"));
  divergence_.Restore(state.at("divergence"));
  tokens_seen_ = state.at("num_tokens").get<int64_t>();
  trained_tokens_seen_ = state.at("trained_tokens").get<int64_t>();
  log_history_ = state.at("log_history");
  for (const Json& entry : log_history_) {
    if (entry.at("step") == 0 && entry.contains("eval_loss")) {
      result_.before = Evaluation{.nll = entry.at("eval_loss").get<double>()};
    }
  }
  return loop_.step();
}

// The keys of transformers' TrainerState.
Json SftRecipe::TrainerState() const {
  Json best_step, best_metric, best_dir;
  if (best_.any()) {
    best_metric = best_.loss();
    best_step = best_.step();
    if (best_.step() > 0) best_dir = CheckpointDir(config_.loop.output_dir, best_.step());
  }
  return {{"best_global_step", best_step},
          {"best_metric", best_metric},
          {"best_model_checkpoint", best_dir},
          {"epoch", Epochs()},
          {"eval_steps", config_.loop.eval_steps},
          {"global_step", loop_.step()},
          {"is_hyper_param_search", false},
          {"is_local_process_zero", true},
          {"is_world_process_zero", true},
          {"log_history", log_history_},
          {"logging_steps", config_.logging_steps},
          {"max_steps", total_steps_},
          {"num_input_tokens_seen", tokens_seen_},
          {"num_train_epochs", static_cast<int64_t>(std::ceil(config_.num_train_epochs))},
          {"save_steps", config_.loop.save_steps},
          {"stateful_callbacks", Json::object()},
          {"total_flos", config_.flops_per_token * static_cast<double>(tokens_seen_)},
          {"train_batch_size", config_.batch_size},
          {"trial_name", nullptr},
          {"trial_params", nullptr}};
}

double SftRecipe::Epochs() const {
  return static_cast<double>(cursor_.epoch()) +
         static_cast<double>(cursor_.position()) / static_cast<double>(train_.size());
}

}  // namespace

SftResult TrainSft(TrainingRun& run, const std::vector<Example>& train,
                   const std::vector<Example>& heldout, const SftConfig& config,
                   const SftHooks& hooks) {
  return SftRecipe(run, train, heldout, config, hooks).Run();
}

}  // namespace lorikeet
