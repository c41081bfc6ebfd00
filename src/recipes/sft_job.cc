#include "recipes/sft_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <numeric>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/folders.h"
#include "engine/read_model.h"
#include "model/export.h"
#include "model/source_config.h"
#include "options/args.h"
#include "plan/machine_probe.h"
#include "recipes/expert_notes.h"
#include "recipes/prepare.h"
#include "recipes/run_settings.h"
#include "train/checkpoint.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

bool SamePath(const std::string& a, const std::string& b) {
  std::error_code ignored;
  return fs::equivalent(a, b, ignored);
}

bool Resuming(const SftOptions& options) {
  return options.output.resume || options.resume_from_checkpoint.has_value();
}

std::string ResumeFrom(const SftOptions& options) {
  if (!Resuming(options)) return "";
  // A run that was killed before its first checkpoint starts again from the beginning.
  if (!options.resume_from_checkpoint && ListCheckpoints(options.output.output_dir).empty())
    return "";
  const std::string dir = options.resume_from_checkpoint
                              ? *options.resume_from_checkpoint
                              : LatestCheckpoint(options.output.output_dir);
  RequireComplete(dir);
  return dir;
}

// Throws Error if the model cannot be trained here even with the smallest micro-batch. Called
// before the weights are read, so that they do not fill the memory first.
void CheckFits(const SftOptions& options, const TrainingShape& shape) {
  constexpr int64_t kSmallest = 64;
  const ModelSource source = ModelSource::Open(options.model);
  ChooseMicroBatch(ReadModelConfig(source), shape, MatrixDtype(source),
                   {.longest = kSmallest,
                    .batch_tokens = kSmallest,
                    .wanted = kSmallest,
                    .recompute = ParseRecompute(options.run.steps.recompute),
                    .memory = {.available = ReadMemory().available}});
}

// Documents are read whole.
RenderConfig RenderConfigOf(const Run& run) {
  if (const Sft* sft = std::get_if<Sft>(&run.objective)) return RenderConfigOf(sft->rendering);
  RenderConfig config = {.train_on = TrainOn::kAll};
  config.columns = ColumnMap(std::get<Pretrain>(run.objective).rendering.data_columns);
  return config;
}

void LoadData(const SftOptions& options, const ReshapeData& reshape, SftJob* job) {
  const RenderConfig render = RenderConfigOf(options.run);
  const auto load = [&](const std::vector<std::string>& paths) {
    Dataset data = LoadExamples(paths, job->loaded->ForData(), render);
    return reshape ? reshape(data) : data;
  };
  job->train = load(options.data);
  if (!options.eval_data.empty()) {
    job->heldout = load(options.eval_data);
  } else if (options.eval_split > 0) {
    std::tie(job->train, job->heldout) = SplitHeldOut(
        std::move(job->train), options.eval_split, static_cast<uint64_t>(options.run.steps.seed));
  }
}

SftConfig ConfigOf(const SftOptions& options) {
  SftConfig config = SftConfigOf(options.run);
  config.loop.eval_steps = options.output.eval_steps.value_or(0);
  config.early_stopping_patience = options.early_stopping_patience;
  config.load_best_model_at_end = options.load_best_model_at_end;
  config.loop.output_dir = options.output.output_dir;
  config.loop.save_steps = options.output.save_steps;
  config.loop.save_total_limit = options.output.save_total_limit;
  config.logging_steps = options.output.logging_steps;
  config.loop.tensorboard = options.output.report_to == "tensorboard";
  return config;
}

// Sets options that the user has not given to the values that the first run chose and recorded.
void RestoreChoices(const std::string& checkpoint, Run* run, SftPlan* plan) {
  const Json state = ReadRunState(checkpoint);
  try {
    const Json& settings = state.at("settings");
    plan->steps_done = state.at("step").get<int64_t>();
    if (!run->optimizer.learning_rate) {
      run->optimizer.learning_rate = settings.at("learning_rate").get<double>();
      plan->learning_rate_reason = "as the run began";
    }
    if (run->steps.micro_batch_tokens == 0) {
      run->steps.micro_batch_tokens = settings.at("micro_batch_tokens").get<int64_t>();
    }
  } catch (const Json::exception& e) {
    Fail(ErrorCode::kCorruptFile, "{}/run_state.json: {}; resume from another checkpoint",
         checkpoint, e.what());
  }
}

std::vector<std::string> FirstTokens(const SftJob& job) {
  constexpr size_t kShown = 8;
  std::vector<std::string> shown;
  const std::vector<int32_t>& ids = job.train.examples.front().tokens;
  for (size_t i = 0; i < std::min(kShown, ids.size()); ++i) {
    std::string text = std::to_string(ids[i]);
    if (job.loaded->tokenizer) {
      const std::string token = job.loaded->tokenizer->tokenizer.Decode({&ids[i], 1});
      text += "=" + OrderedJson(token).dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
    }
    shown.push_back(std::move(text));
  }
  return shown;
}

// The tokens that one step can hold at most.
int64_t LargestBatch(const std::vector<Example>& examples, int64_t batch_size) {
  std::vector<int64_t> lengths;
  for (const Example& example : examples) lengths.push_back(example.num_tokens());
  const auto count = std::min(batch_size, static_cast<int64_t>(lengths.size()));
  std::partial_sort(lengths.begin(), lengths.begin() + count, lengths.end(), std::greater<>());
  return std::accumulate(lengths.begin(), lengths.begin() + count, int64_t{0});
}

void FillPlan(SftJob* job) {
  SftPlan& plan = job->plan;
  const Model& model = *job->loaded->model;
  plan.model_path = model.source().path();
  plan.model_type = model.config().model_type;
  plan.stored = MatrixDtype(model.source());
  plan.parameters = model.NumParameters();
  plan.data = job->train.stats;
  plan.heldout_examples = job->heldout.stats.examples;
  plan.heldout_tokens = job->heldout.stats.tokens;
  plan.heldout_trained_tokens = job->heldout.stats.trained_tokens;
  plan.first_tokens = FirstTokens(*job);
  plan.steps = TotalSteps(job->config, plan.data.examples);
  plan.shape.sequence_length = MeanContextLength(job->train.examples);
}

size_t BytesOf(const std::vector<Example>& examples) {
  size_t bytes = 0;
  for (const Example& e : examples) {
    bytes += sizeof e + e.tokens.size() * sizeof e.tokens[0] +
             e.target_tokens.size() * sizeof e.target_tokens[0] +
             e.weights.size() * sizeof e.weights[0];
  }
  return bytes;
}

// The micro-batch and recompute, from memory; with their cost. adapter_bytes: held already.
void SettleMemory(size_t adapter_bytes, Run* run, SftJob* job) {
  SftPlan& plan = job->plan;
  Model& model = *job->loaded->model;
  const int64_t longest = std::max(plan.data.lengths.longest, job->heldout.stats.lengths.longest);
  plan.shape.longest_sequence = longest;
  plan.memory_at_hand = {.resident = static_cast<int64_t>(model.OwnedBytes() + adapter_bytes),
                         .available = ReadMemory().available};
  MicroBatchChoice choice =
      ChooseMicroBatch(model.config(), plan.shape, plan.stored,
                       {.longest = longest,
                        .batch_tokens = LargestBatch(job->train.examples, run->steps.batch_size),
                        .wanted = run->steps.micro_batch_tokens,
                        .recompute = ParseRecompute(run->steps.recompute),
                        .memory = plan.memory_at_hand});
  plan.shape.recompute = choice.recompute.recompute;
  plan.recompute_reason = choice.recompute.reason;
  plan.shape.tokens_per_microbatch = choice.tokens;
  plan.memory = std::move(choice.recompute.memory);
  const size_t examples = BytesOf(job->train.examples) + BytesOf(job->heldout.examples);
  plan.memory.push_back({"examples", examples});
  plan.memory_at_hand.resident += static_cast<int64_t>(examples);
  plan.flops = TrainingFlops(
      model.config(), plan.shape,
      static_cast<double>(plan.data.trained_tokens) / static_cast<double>(plan.data.tokens));
  run->steps.micro_batch_tokens = choice.tokens;
}

// The adapter, as the plan says it.
void DescribeAdapter(const LoraAdapter& adapter, SftJob* job) {
  job->plan.expert_notes = ExpertNotes(job->loaded->model->config(), job->plan.shape);
  job->plan.adapted_modules = static_cast<int64_t>(adapter.pairs().size());
}

// Whether a folder is empty, apart from the lock file of this run.
bool HoldsNothing(const std::string& dir) {
  std::error_code error;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    if (it->path().filename() != "lock") return false;
  }
  return true;
}

[[noreturn]] void FailNotEmpty(const std::string& dir) {
  Fail(ErrorCode::kInvalidArgument,
       "output_dir {}: is not empty; --resume continues the run in it, --overwrite starts it "
       "again, or choose another folder",
       dir);
}

}  // namespace

std::optional<FolderLock> LockOutputDir(const std::string& dir) {
  std::error_code ignored;
  if (!fs::is_directory(dir, ignored)) return std::nullopt;
  FolderLock lock(dir);
  if (!lock.held()) {
    Fail(ErrorCode::kIo,
         "output_dir {}: {} is working in it; wait until it has ended, or choose another folder",
         dir, lock.holder());
  }
  return lock;
}

void CheckOutputDir(const std::string& dir, const std::vector<std::string>& inputs,
                    bool may_hold_a_run) {
  std::error_code error;
  if (!fs::exists(dir, error)) return;
  if (!fs::is_directory(dir, error)) {
    Fail(ErrorCode::kInvalidArgument, "output_dir {}: is not a folder", dir);
  }
  for (const std::string& input : inputs) {
    if (!input.empty() && SamePath(dir, input)) {
      Fail(ErrorCode::kInvalidArgument,
           "output_dir {}: is what the run starts from and would be written over; choose another "
           "folder",
           dir);
    }
  }
  if (!may_hold_a_run && !HoldsNothing(dir)) FailNotEmpty(dir);
}

void RemoveEarlierRun(const std::string& output_dir) {
  constexpr std::array kNames = {"adapter_config.json", "adapter_model.safetensors",
                                 "config.json",         "model.safetensors",
                                 "metrics.jsonl",       "model.safetensors.index.json",
                                 "config.yaml",         "train_summary.json",
                                 "transcripts",         "runs"};
  CleanLeftovers(output_dir);
  std::error_code error;
  std::vector<fs::path> doomed;
  for (fs::directory_iterator it(output_dir, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    const bool known = std::find(kNames.begin(), kNames.end(), name) != kNames.end();
    const bool shard = name.starts_with("model-") && name.ends_with(".safetensors");
    if (known || shard || name.starts_with("checkpoint-")) doomed.push_back(it->path());
  }
  // Checkpoints first: one of them without its metrics would be taken up by --resume.
  const auto is_checkpoint = [](const fs::path& path) {
    return path.filename().string().starts_with("checkpoint-");
  };
  std::stable_partition(doomed.begin(), doomed.end(), is_checkpoint);
  for (const fs::path& path : doomed) {
    if (is_checkpoint(path)) RemoveFolderAtomically(path.string());
    fs::remove_all(path, error);
    if (error) Fail(ErrorCode::kIo, "{}: cannot remove: {}", path.string(), error.message());
  }
}

std::optional<FolderLock> BeginOutputDir(const std::string& output_dir, bool remove_earlier,
                                         const TextFile& settings, bool locked) {
  CreateFolders(output_dir, "output_dir ");
  std::optional<FolderLock> lock;
  if (!locked) {
    lock = LockOutputDir(output_dir);
    if (!HoldsNothing(output_dir)) FailNotEmpty(output_dir);
  }
  if (remove_earlier) RemoveEarlierRun(output_dir);
  WriteTextFiles({settings}, output_dir);
  return lock;
}

SftJob PrepareTraining(SftOptions& options, const ReshapeData& reshape,
                       const TrainingContext& context) {
  Run& run = options.run;
  CheckOutputDir(options.output.output_dir, {options.model, run.adapter.adapter.value_or("")},
                 Resuming(options) || options.output.overwrite_output_dir || options.dry_run);
  CheckAdapter(run.adapter);
  if (!options.eval_data.empty() && options.eval_split > 0) {
    Fail(ErrorCode::kInvalidArgument, "eval_data and eval_split exclude each other; give one");
  }
  SftJob job;
  const bool continues = Resuming(options) || options.output.overwrite_output_dir;
  if (continues && !options.dry_run) job.lock = LockOutputDir(options.output.output_dir);
  const std::string checkpoint = ResumeFrom(options);
  const DType compute = ParseComputeDtype(options.dtype);
  job.plan.shape = ShapeOf(run, compute);
  if (context.loaded == nullptr) {
    CheckFits(options, job.plan.shape);
    job.loaded = std::make_shared<LoadedModel>(LoadModel(options.model, compute));
  } else {
    CHECK(!run.adapter.full());
    job.loaded = context.loaded;
  }
  Model& model = *job.loaded->model;
  options.common.PrintNotes(model.config().notes);
  LoadData(options, reshape, &job);
  job.config = ConfigOf(options);
  if (!checkpoint.empty()) RestoreChoices(checkpoint, &run, &job.plan);

  std::set<std::string> set;  // compared with an adapter's file
  if (run.adapter.adapter) set = OptionsSet(options, options.typed);
  std::optional<LoraAdapter> adapter = MakeAdapter(model, set, &run, &job.plan.shape);
  if (adapter) DescribeAdapter(*adapter, &job);
  FillPlan(&job);
  const std::string reason = ChooseLearningRate(model.config(), job.plan.steps, &run);
  if (job.plan.learning_rate_reason.empty()) job.plan.learning_rate_reason = reason;
  SettleMemory(adapter ? adapter->Bytes() : 0, &run, &job);
  job.run = MakeRun(model, std::move(adapter), job.plan.shape, context.workspace);
  job.plan.trainable = job.run->NumTrainable();
  job.plan.run = run;
  job.plan.peak_flops =
      context.peak_flops ? *context.peak_flops : MeasureMatMulPeak(compute, 1) * 1e9;
  job.config = ConfigOf(options);  // with what was chosen
  job.config.loop.resume_from = checkpoint;
  job.config.flops_per_token = job.plan.flops.total();
  job.config.peak_flops = job.plan.peak_flops;
  job.config.settings = SettingsOf(*job.run, job.train.examples, run, job.plan.steps);
  return job;
}

SftJob PrepareSft(SftOptions& options, const TrainingContext& context) {
  SftJob job = PrepareTraining(options, {}, context);
  SftOptions resolved = options;  // starts or resumes this run
  resolved.output.resume = resolved.output.overwrite_output_dir = resolved.dry_run = false;
  resolved.resume_from_checkpoint.reset();
  job.text_files = CollectFiles(*job.loaded, std::get<Sft>(options.run.objective).rendering,
                                ToYaml(OptionTable(resolved)));
  return job;
}

}  // namespace lorikeet
