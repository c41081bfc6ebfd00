// What a run keeps across processes.
#include <fmt/format.h>

#include <cmath>
#include <filesystem>

#include "core/error.h"
#include "train/checkpoint.h"
#include "train/run_settings.h"
#include "train/sft_loop.h"

namespace lorikeet {
namespace {

// Of run_state.json; to be raised with every change of what it holds.
constexpr int64_t kRunStateFormat = 2;

}  // namespace

void SftLoop::LogStep(const Metrics& metrics) {
  metrics_->Write(step_, metrics);
  const bool logged = step_ == 1 || step_ == total_steps_ ||
                      step_ % std::max<int64_t>(config_.logging_steps, 1) == 0;
  if (!logged) return;
  Json entry = {{"step", step_}};
  for (const auto& [name, value] : metrics) {  // no times: a resumed run writes the same file
    if (name == "loss" || name == "grad_norm" || name == "learning_rate" || name == "epoch") {
      entry[name] = value;
    }
  }
  log_history_.push_back(std::move(entry));
}

void SftLoop::SaveCheckpoint() {
  const std::string dir = CheckpointDir(config_.output_dir, step_);
  metrics_->Sync();
  WriteCheckpoint(dir, run_, {TrainerState(), RunState(), hooks_.save_text_files});
  saved_step_ = step_;
  best_is_new_ = false;
  result_.checkpoint = dir;
  if (divergence_.Suspicious()) return;  // what was good before must not be rotated away
  good_checkpoint_ = dir;
  RotateCheckpoints(config_.output_dir, step_, config_.save_total_limit, best_.step());
}

Json SftLoop::RunState() const {
  return {{"format", kRunStateFormat},
          {"step", step_},
          {"settings", settings_},
          {"cursor", cursor_.ToJson()},
          {"best", best_.ToJson()},
          {"divergence", divergence_.ToJson()},
          {"evaluated_step", evaluated_step_},
          {"num_tokens", tokens_seen_},
          {"trained_tokens", trained_tokens_seen_},
          {"log_history", log_history_}};
}

// The keys of transformers' TrainerState.
Json SftLoop::TrainerState() const {
  Json best_step, best_metric, best_dir;
  if (best_.any()) {
    best_metric = best_.loss();
    best_step = best_.step();
    if (best_.step() > 0) best_dir = CheckpointDir(config_.output_dir, best_.step());
  }
  return {{"best_global_step", best_step},
          {"best_metric", best_metric},
          {"best_model_checkpoint", best_dir},
          {"epoch", Epochs()},
          {"eval_steps", config_.eval_steps},
          {"global_step", step_},
          {"is_hyper_param_search", false},
          {"is_local_process_zero", true},
          {"is_world_process_zero", true},
          {"log_history", log_history_},
          {"logging_steps", config_.logging_steps},
          {"max_steps", total_steps_},
          {"num_input_tokens_seen", tokens_seen_},
          {"num_train_epochs", static_cast<int64_t>(std::ceil(config_.num_train_epochs))},
          {"save_steps", config_.save_steps},
          {"stateful_callbacks", Json::object()},
          {"total_flos", config_.flops_per_token * static_cast<double>(tokens_seen_)},
          {"train_batch_size", config_.batch_size},
          {"trial_name", nullptr},
          {"trial_params", nullptr}};
}

void SftLoop::Resume() {
  const std::string& dir = config_.resume_from;
  const Json state = ReadRunState(dir);
  try {
    const int64_t format = state.at("format").get<int64_t>();
    if (format != kRunStateFormat) {
      Fail(ErrorCode::kUnsupported,
           "{}/run_state.json: format {}, written by another version of this program, which reads "
           "format {}; resume with that version or start anew",
           dir, format, kRunStateFormat);
    }
    RequireSameSettings(state.at("settings"), settings_, dir);
    cursor_.Restore(state.at("cursor"));
    best_.Restore(state.at("best"));
    divergence_.Restore(state.at("divergence"));
    step_ = state.at("step").get<int64_t>();
    evaluated_step_ = state.at("evaluated_step").get<int64_t>();
    tokens_seen_ = state.at("num_tokens").get<int64_t>();
    trained_tokens_seen_ = state.at("trained_tokens").get<int64_t>();
    log_history_ = state.at("log_history");
    for (const Json& entry : log_history_) {
      if (entry.at("step") == 0 && entry.contains("eval_loss")) {
        result_.before = Evaluation{.nll = entry.at("eval_loss").get<double>()};
      }
    }
  } catch (const Json::exception& e) {
    Fail(ErrorCode::kCorruptFile, "{}/run_state.json: {}; resume from another checkpoint", dir,
         e.what());
  }
  run_.LoadState(dir);
  if (run_.optim_steps() != step_ || step_ < 1) {
    Fail(ErrorCode::kCorruptFile,
         "{}: run_state.json stands at step {}, training_state.safetensors at {}; resume from "
         "another checkpoint",
         dir, step_, run_.optim_steps());
  }
  result_.checkpoint = good_checkpoint_ = dir;
  std::error_code ignored;
  if (std::filesystem::equivalent(dir, CheckpointDir(config_.output_dir, step_), ignored)) {
    saved_step_ = step_;
  }
  Note(fmt::format("resumed from {} at step {} of {}", dir, step_, total_steps_));
}

}  // namespace lorikeet
