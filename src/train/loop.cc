#include "train/loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "core/checksum.h"
#include "core/error.h"
#include "core/file.h"
#include "train/checkpoint.h"
#include "train/run_settings.h"

namespace lorikeet {
namespace {

// Whether these are an adapter's, and every B is zero, so that it changes no output.
bool IsZeroAdapter(const std::vector<Param>& params) {
  bool any = false;
  for (const Param& param : params) {
    if (!param.name.ends_with(".lora_B")) continue;
    any = true;
    const auto* x = param.value.as<float>();
    if (!std::all_of(x, x + param.value.size(), [](float b) { return b == 0; })) return false;
  }
  return any;
}

}  // namespace

TrainLoop::TrainLoop(TrainingRun& run, const LoopOptions& options, const LoopHooks& hooks)
    : run_(run),
      options_(options),
      hooks_(hooks),
      guarded_(run, [this](const std::string& text) { Note(text); }) {}

LoopResult TrainLoop::Run(const LoopRecipe& recipe) {
  recipe_ = &recipe;
  Begin();
  while (true) {
    // Checked first, so that stopping does not wait for an evaluation, which is made when the run
    // is resumed.
    if (!AtEnd() && StopRequested()) {
      result_.interrupted = true;
      break;
    }
    const bool stopped = EvaluationDue() && !Evaluate();
    if (CheckpointDue()) SaveCheckpoint();
    if (AtEnd() || Status().done) break;
    if (!stopped && !StopRequested()) Step();
  }
  const bool keep = options_.keep_result || result_.interrupted;
  if (step_ > 0 && saved_step_ != step_ && keep) SaveCheckpoint();
  const bool learned = result_.interrupted || !options_.keep_result || HasLearned();
  if (!result_.interrupted) Finish();
  metrics_->Sync();
  result_.steps = step_;
  if (!learned) {
    result_.nothing_learned =
        fmt::format("nothing was learned in {} steps: {}", step_, recipe_->why_nothing_learned());
  }
  return result_;
}

void TrainLoop::Begin() {
  CreateFolders(options_.output_dir);
  CleanLeftovers(options_.output_dir);
  if (!recipe_->advice.empty()) guarded_.SetAdvice(recipe_->advice);
  if (options_.resume_from.empty()) {
    initial_parameters_ = ParametersSum();
  } else {
    Resume();
    // Before the metrics are cut: they would have a hole before a later checkpoint.
    RemoveCheckpointsAfter(options_.output_dir, step_);
    RotateCheckpoints();  // a power cut may have brought one back, and a run at its end saves none
  }
  metrics_.emplace(MetricsWriter::Settings{.dir = options_.output_dir,
                                           .steps_done = step_,
                                           .lines_done = metrics_lines_,
                                           .tensorboard = options_.tensorboard});
}

std::string TrainLoop::ParametersSum() const {
  uint32_t crc = 0;
  for (const Param& param : run_.params()) {
    crc = Crc32c(param.value.data, static_cast<size_t>(param.value.bytes()), crc);
  }
  return fmt::format("{:08x}", crc);
}

// False if the run's steps have changed nothing. True where that is not known.
bool TrainLoop::HasLearned() const {
  if (!recipe_->why_nothing_learned || initial_parameters_.empty() || step_ == 0) return true;
  return initial_parameters_ != ParametersSum() && !IsZeroAdapter(run_.params());
}

void TrainLoop::Step() {
  constexpr int64_t kStepsChecked = 3;  // with warm-up the first step moves nothing
  guarded_.BeginStep(step_ + 1, options_.resume_from.empty() && step_ < kStepsChecked);
  const StepOutput output = recipe_->step();
  if (output.stopped) return;
  ++step_;
  Write(output.metrics);
  if (hooks_.progress != nullptr) {
    ProgressSample sample = output.progress;
    sample.step = step_;
    sample.total = recipe_->total_steps;
    hooks_.progress->Update(sample);
  }
  if (!output.note.empty()) Note(output.note);
}

void TrainLoop::Write(const Metrics& metrics) {
  metrics_->Write(step_, metrics);
  if (hooks_.on_metrics) hooks_.on_metrics(step_, recipe_->total_steps, metrics);
}

bool TrainLoop::EvaluationDue() const {
  if (!recipe_->evaluate || evaluated_step_ == step_) return false;
  const std::vector<int64_t>& at = options_.eval_at;
  return step_ == 0 || AtEnd() || Every(options_.eval_steps) ||
         std::find(at.begin(), at.end(), step_) != at.end();
}

bool TrainLoop::CheckpointDue() const {
  if (step_ == 0 || saved_step_ == step_) return false;
  const bool due = Every(options_.save_steps);
  if (!options_.keep_result) return due && !AtEnd();
  return due || best_is_new_ || AtEnd();
}

bool TrainLoop::Evaluate() {
  const Evaluated evaluated = recipe_->evaluate();
  if (evaluated == Evaluated::kStopped) return false;
  evaluated_step_ = step_;
  best_is_new_ = evaluated == Evaluated::kBest && step_ > 0;
  return true;
}

void TrainLoop::SaveCheckpoint() {
  const std::string dir = CheckpointDir(options_.output_dir, step_);
  metrics_->Sync();
  Json state = recipe_->state();
  state["format"] = recipe_->state_format;
  state["step"] = step_;
  state["settings"] = recipe_->settings;
  state["evaluated_step"] = evaluated_step_;
  state["metrics_lines"] = metrics_->lines();
  if (!initial_parameters_.empty()) state["initial_parameters"] = initial_parameters_;
  WriteCheckpoint(dir, run_, {recipe_->trainer_state(), std::move(state), hooks_.save_text_files});
  saved_step_ = step_;
  best_is_new_ = false;
  result_.checkpoint = dir;
  if (Status().diverging) return;  // keeps the good checkpoints before it
  guarded_.SetGoodCheckpoint(dir);
  RotateCheckpoints();
}

void TrainLoop::RotateCheckpoints() const {
  const RecipeStatus status = Status();
  if (status.diverging) return;
  lorikeet::RotateCheckpoints(options_.output_dir, step_, options_.save_total_limit,
                              status.best_step);
}

void TrainLoop::Resume() {
  const std::string& dir = options_.resume_from;
  RequireUndamaged(dir);
  const Json state = ReadRunState(dir);
  int64_t updates = 0;
  try {
    const int64_t format = state.at("format").get<int64_t>();
    if (format != recipe_->state_format) {
      Fail(ErrorCode::kUnsupported,
           "{}/run_state.json: format {}, written by another version of this program, which reads "
           "format {}; resume with that version or start again",
           dir, format, recipe_->state_format);
    }
    RequireSameSettings(state.at("settings"), recipe_->settings, dir);
    step_ = state.at("step").get<int64_t>();
    evaluated_step_ = state.at("evaluated_step").get<int64_t>();
    // Missing in checkpoints of older versions.
    metrics_lines_ = state.value("metrics_lines", int64_t{-1});
    initial_parameters_ = state.value("initial_parameters", "");
    LoadWholeState();
    updates = recipe_->restore(state);
  } catch (const Json::exception& e) {
    Fail(ErrorCode::kCorruptFile, "{}/run_state.json: {}; resume from another checkpoint", dir,
         e.what());
  }
  if (run_.optim_steps() != updates || step_ < 1) {
    Fail(ErrorCode::kCorruptFile,
         "{}: run_state.json tells of {} updates, training_state.safetensors of {}; resume from "
         "another checkpoint",
         dir, updates, run_.optim_steps());
  }
  result_.checkpoint = dir;
  guarded_.SetGoodCheckpoint(dir);
  std::error_code ignored;
  if (std::filesystem::equivalent(dir, CheckpointDir(options_.output_dir, step_), ignored)) {
    saved_step_ = step_;
  }
  Note(fmt::format("resumed from {} at step {} of {}", dir, step_, recipe_->total_steps));
}

// Checkpoints of older versions have no checksums: damage shows only here.
void TrainLoop::LoadWholeState() {
  try {
    run_.LoadState(options_.resume_from);
  } catch (const Error& e) {
    if (e.code() != ErrorCode::kCorruptFile) throw;
    Fail(ErrorCode::kCorruptFile, "{}; resume from another checkpoint", e.what());
  }
}

void TrainLoop::Finish() {
  if (recipe_->finish) recipe_->finish();
  if (!options_.keep_result) return;
  run_.SaveWeights(options_.output_dir);
  if (hooks_.save_text_files) hooks_.save_text_files(options_.output_dir);
}

void TrainLoop::Note(const std::string& text) const {
  if (hooks_.progress != nullptr) hooks_.progress->Note(text);
}

}  // namespace lorikeet
