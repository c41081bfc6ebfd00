#include "train/sft.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>

#include "core/error.h"
#include "core/file.h"
#include "core/format.h"
#include "train/checkpoint.h"
#include "train/run_settings.h"
#include "train/sft_loop.h"

namespace lorikeet {
namespace {

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

int64_t TotalSteps(const SftConfig& config, int64_t num_examples) {
  if (config.max_steps > 0) return config.max_steps;
  const int64_t per_epoch = (num_examples + config.batch_size - 1) / config.batch_size;
  return std::max<int64_t>(
      1, static_cast<int64_t>(std::ceil(config.num_train_epochs * static_cast<double>(per_epoch))));
}

SftLoop::SftLoop(TrainingRun& run, const std::vector<Example>& train,
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
      settings_(SettingsOf(run, train, config, total_steps_)),
      cursor_({.num_examples = static_cast<int64_t>(train.size()),
               .batch_size = config.batch_size,
               .seed = config.seed,
               .shuffle = config.shuffle}),
      best_(config.early_stopping_patience),
      divergence_(run.model().config().vocab_size) {
  result_.total_steps = total_steps_;
}

SftResult SftLoop::Run() {
  Begin();
  while (true) {
    // Asked first: a person who wants to stop does not want to wait for an evaluation. It is made
    // up for when the run is resumed.
    if (step_ < total_steps_ && StopRequested()) {
      result_.interrupted = true;
      break;
    }
    if (EvaluationDue()) EvaluateHeldOut();
    if (CheckpointDue()) SaveCheckpoint();
    if (step_ >= total_steps_ || best_.ShouldStop()) break;
    if (!StopRequested()) Step();
  }
  const bool keep = config_.keep_result || result_.interrupted;
  if (step_ > 0 && saved_step_ != step_ && keep) SaveCheckpoint();
  if (!result_.interrupted) FinishRun();
  result_.steps = step_;
  result_.best_step = best_.step();
  return result_;
}

void SftLoop::Begin() {
  CreateFolders(config_.output_dir);
  CleanLeftovers(config_.output_dir);
  if (!config_.resume_from.empty()) Resume();
  metrics_.emplace(MetricsWriter::Settings{
      .dir = config_.output_dir, .steps_done = step_, .tensorboard = config_.tensorboard});
}

void SftLoop::Step() {
  const double start = Now();
  std::vector<const Example*> batch;
  for (const int64_t i : cursor_.Next()) batch.push_back(&train_[static_cast<size_t>(i)]);
  const ForwardBackwardOutput output = GuardedForwardBackward(batch);
  OptimParams optim = config_.optim;
  optim.learning_rate = LearningRateAt(schedule_, step_);
  optim.grad_divisor = output.weight_sum;
  const OptimStepOutput update = GuardedOptimStep(optim, output.MeanLoss());
  ++step_;
  Report(output, optim, update.grad_norm, Now() - start);
}

void SftLoop::Report(const ForwardBackwardOutput& output, const OptimParams& optim,
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
  LogStep({{"loss", loss},
           {"grad_norm", grad_norm},
           {"learning_rate", optim.learning_rate},
           {"epoch", Epochs()},
           {"num_tokens", static_cast<double>(tokens_seen_)},
           {"trained_tokens", static_cast<double>(trained_tokens_seen_)},
           {"step_seconds", seconds},
           {"tokens_per_second", rate},
           {"matmul_utilization", Utilisation(rate)}});
  if (hooks_.progress == nullptr) return;
  hooks_.progress->Update({.step = step_,
                           .total = total_steps_,
                           .loss = loss,
                           .learning_rate = optim.learning_rate,
                           .tokens_per_second = smoothed_rate_,
                           .peak_fraction = Utilisation(smoothed_rate_)});
  constexpr int64_t kProbe = 3;
  if (result_.steps_here == kProbe && total_steps_ - step_ > kProbe) NoteTime();
}

double SftLoop::Utilisation(double tokens_per_second) const {
  if (config_.peak_flops <= 0) return 0;
  return tokens_per_second * config_.flops_per_token / config_.peak_flops;
}

// The plan's estimate, made better by the first steps. The very first also prepares kernels.
void SftLoop::NoteTime() const {
  const double per_step = result_.train_seconds / static_cast<double>(result_.steps_here);
  Note(
      fmt::format("the first {} steps ran at {:.0f} tokens/s ({} of the measured peak): about {} "
                  "for the {} to come",
                  result_.steps_here, result_.TokensPerSecond(),
                  Percent(Utilisation(result_.TokensPerSecond())),
                  HumanDuration(per_step * static_cast<double>(total_steps_ - step_)),
                  HumanCount(total_steps_ - step_)));
}

bool SftLoop::EvaluationDue() const {
  if (heldout_.empty() || evaluated_step_ == step_) return false;
  return step_ == 0 || step_ == total_steps_ ||
         (config_.eval_steps > 0 && step_ % config_.eval_steps == 0) ||
         std::find(config_.eval_at.begin(), config_.eval_at.end(), step_) != config_.eval_at.end();
}

bool SftLoop::CheckpointDue() const {
  if (step_ == 0 || saved_step_ == step_) return false;
  const bool due = config_.save_steps > 0 && step_ % config_.save_steps == 0;
  if (!config_.keep_result) return due && step_ < total_steps_;
  return due || best_is_new_ || step_ == total_steps_;
}

void SftLoop::EvaluateHeldOut() {
  const std::optional<Evaluation> evaluation =
      Evaluate(run_, heldout_, [this] { return StopRequested(); });
  if (!evaluation) return;
  evaluated_step_ = step_;
  if (step_ == 0) result_.before = evaluation;
  result_.after = evaluation;
  const bool better = best_.Add(step_, evaluation->nll);
  best_is_new_ = better && step_ > 0;
  Metrics metrics = {{"eval_loss", evaluation->nll},
                     {"eval_perplexity", evaluation->Perplexity()},
                     {"eval_bits_per_token", evaluation->BitsPerToken()},
                     {"eval_num_tokens", static_cast<double>(evaluation->trained_tokens)},
                     {"eval_runtime", evaluation->seconds},
                     {"epoch", Epochs()}};
  if (hooks_.also_evaluated) {
    for (auto& metric : hooks_.also_evaluated(run_)) metrics.push_back(std::move(metric));
  }
  metrics_->Write(step_, metrics);
  log_history_.push_back({{"step", step_}, {"epoch", Epochs()}, {"eval_loss", evaluation->nll}});
  Note(fmt::format("step {}: held-out loss {:.4f}, perplexity {:.3f}, {:.4f} bits per token ({}){}",
                   step_, evaluation->nll, evaluation->Perplexity(), evaluation->BitsPerToken(),
                   HumanDuration(evaluation->seconds), better && step_ > 0 ? ", the best" : ""));
}

void SftLoop::FinishRun() {
  result_.stopped_early = step_ < total_steps_;
  if (result_.stopped_early) {
    Note(fmt::format(
        "stopped early at step {}: no better held-out loss for {} evaluations; the best was {:.4f} "
        "at step {}",
        step_, config_.early_stopping_patience, best_.loss(), best_.step()));
  }
  const std::string best_dir = CheckpointDir(config_.output_dir, best_.step());
  if (config_.load_best_model_at_end && best_.any() && best_.step() != step_) {
    if (best_.step() > 0 && std::filesystem::exists(best_dir)) {
      run_.LoadState(best_dir);
      result_.holds_best = true;
    } else {
      Note(best_.step() == 0
               ? "no evaluation was better than the model before training; the last state is kept"
               : fmt::format("{}: the best checkpoint is gone; the last state is kept", best_dir));
    }
  }
  if (config_.keep_result) {
    run_.SaveWeights(config_.output_dir);
    if (hooks_.save_text_files) hooks_.save_text_files(config_.output_dir);
  }
  metrics_->Sync();
}

void SftLoop::Note(const std::string& text) const {
  if (hooks_.progress != nullptr) hooks_.progress->Note(text);
}

double SftLoop::Epochs() const {
  return static_cast<double>(cursor_.epoch()) +
         static_cast<double>(cursor_.position()) / static_cast<double>(train_.size());
}

SftResult TrainSft(TrainingRun& run, const std::vector<Example>& train,
                   const std::vector<Example>& heldout, const SftConfig& config,
                   const SftHooks& hooks) {
  return SftLoop(run, train, heldout, config, hooks).Run();
}

}  // namespace lorikeet
