#include "cli/sft_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <numeric>

#include "core/error.h"
#include "core/file.h"
#include "engine/read_model.h"
#include "model/export.h"
#include "options/args.h"
#include "plan/machine_probe.h"
#include "recipes/expert_notes.h"
#include "train/checkpoint.h"
#include "train/learning_rate.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

bool SamePath(const std::string& a, const std::string& b) {
  std::error_code ignored;
  return fs::equivalent(a, b, ignored);
}

bool Resuming(const SftOptions& options) {
  return options.resume || options.resume_from_checkpoint.has_value();
}

std::string ResumeFrom(const SftOptions& options) {
  if (!Resuming(options)) return "";
  // A run that was killed before its first checkpoint starts again from the beginning.
  if (!options.resume_from_checkpoint && ListCheckpoints(options.output_dir).empty()) return "";
  const std::string dir = options.resume_from_checkpoint ? *options.resume_from_checkpoint
                                                         : LatestCheckpoint(options.output_dir);
  RequireComplete(dir);
  return dir;
}

TrainOn TrainOnOf(const SftOptions& options) {
  if (options.assistant_only_loss) {
    const std::string said = *options.assistant_only_loss ? "assistant" : "all";
    if (options.train_on != "assistant" && options.train_on != said) {
      Fail(ErrorCode::kInvalidArgument,
           "train_on: {} and assistant_only_loss: {} contradict each other; give one of them",
           options.train_on, *options.assistant_only_loss);
    }
    return *options.assistant_only_loss ? TrainOn::kAssistant : TrainOn::kAll;
  }
  if (options.train_on == "last") return TrainOn::kLast;
  return options.train_on == "all" ? TrainOn::kAll : TrainOn::kAssistant;
}

// Module names hold letters, digits, dots and underscores.
bool LooksLikeRegex(const std::string& target) {
  return target.find_first_of("*+?()[]{}|^$\\") != std::string::npos;
}

TrainingShape ShapeOf(const SftOptions& options, DType compute) {
  TrainingShape shape;
  shape.method = options.method == "full" ? Method::kFull : Method::kLora;
  shape.lora_r = options.lora_r;
  shape.lora_expert_rank = options.experts.Rank();
  shape.lora_shared_outer = options.experts.lora_shared_outer;
  shape.compute = compute;
  const LoraConfig lora = LoraConfigOf(options);
  if (lora.target_regex.empty()) shape.target_modules = lora.target_modules;
  return shape;
}

// What the adapter has: the last parts of its modules' names, and its largest ranks.
void TakeShapeOf(const LoraAdapter& adapter, TrainingShape* shape) {
  shape->target_modules.clear();
  int r = 0, expert_r = 0;
  bool shared = false;
  for (const LoraPair& pair : adapter.pairs()) {
    const std::string name = pair.module.substr(pair.module.rfind('.') + 1);
    auto& names = shape->target_modules;
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    int& largest = pair.module.find(".experts.") == std::string::npos ? r : expert_r;
    largest = std::max(largest, static_cast<int>(pair.r));
    shared = shared || pair.shares_a || pair.shares_b;
  }
  shape->lora_expert_rank = expert_r;
  shape->lora_r = r > 0 ? r : std::max(shape->lora_r, 1);
  shape->lora_shared_outer = shared;
}

// Before the weights are read: a model that cannot be trained here in the smallest pieces is
// refused at once instead of filling the memory first.
void RefuseHopeless(const SftOptions& options, const TrainingShape& shape) {
  constexpr int64_t kSmallest = 64;
  const ModelSource source = ModelSource::Open(options.model);
  ChooseMicroBatch(ReadModelConfig(source.config(), source.path()), shape, MatrixDtype(source),
                   {.longest = kSmallest,
                    .batch_tokens = kSmallest,
                    .wanted = kSmallest,
                    .recompute = ParseRecompute(options.recompute),
                    .memory = {.available = ReadMemory().available}});
}

void LoadData(const SftOptions& options, const ReshapeData& reshape, SftJob* job) {
  const RenderConfig render = RenderConfigOf(options);
  const auto load = [&](const std::vector<std::string>& paths) {
    Dataset data = LoadExamples(paths, job->loaded.ForData(), render);
    return reshape ? reshape(data) : data;
  };
  job->train = load(options.data);
  if (!options.eval_data.empty()) {
    job->heldout = load(options.eval_data);
  } else if (options.eval_split > 0) {
    std::tie(job->train, job->heldout) = SplitHeldOut(std::move(job->train), options.eval_split,
                                                      static_cast<uint64_t>(options.seed));
  }
}

SftConfig ConfigOf(const SftOptions& options) {
  SftConfig config;
  config.batch_size = options.batch_size;
  config.shuffle = options.shuffle;
  config.num_train_epochs = options.num_train_epochs;
  config.loop.max_steps = options.max_steps.value_or(0);
  config.seed = static_cast<uint64_t>(options.seed);
  config.schedule = ParseScheduleKind(options.lr_scheduler_type);
  config.warmup_steps = options.warmup_steps;
  config.warmup_ratio = options.warmup_ratio;
  config.optim.beta1 = options.adam_beta1;
  config.optim.beta2 = options.adam_beta2;
  config.optim.eps = options.adam_epsilon;
  config.optim.weight_decay = options.weight_decay;
  config.optim.max_grad_norm = options.max_grad_norm;
  config.optim.a = options.factors.A();
  config.optim.b = options.factors.B();
  config.loop.eval_steps = options.eval_steps.value_or(0);
  config.early_stopping_patience = options.early_stopping_patience;
  config.load_best_model_at_end = options.load_best_model_at_end;
  config.loop.output_dir = options.output_dir;
  config.loop.save_steps = options.save_steps;
  config.loop.save_total_limit = options.save_total_limit;
  config.logging_steps = options.logging_steps;
  config.loop.tensorboard = options.report_to == "tensorboard";
  return config;
}

// A resumed run takes up what the first one chose, where the person names nothing else.
void TakeUpRecorded(const std::string& checkpoint, SftOptions& options, SftPlan* plan) {
  const Json state = ReadRunState(checkpoint);
  try {
    const Json& settings = state.at("settings");
    plan->steps_done = state.at("step").get<int64_t>();
    if (!options.learning_rate) {
      options.learning_rate = settings.at("learning_rate").get<double>();
      plan->learning_rate_reason = "as the run began";
    }
    if (options.micro_batch_tokens == 0) {
      options.micro_batch_tokens = settings.at("micro_batch_tokens").get<int>();
    }
  } catch (const Json::exception& e) {
    Fail(ErrorCode::kCorruptFile, "{}/run_state.json: {}; resume from another checkpoint",
         checkpoint, e.what());
  }
}

void ChooseLearningRate(const ModelConfig& model, const TrainingShape& shape, SftOptions& options,
                        SftPlan* plan) {
  if (!options.learning_rate) {
    const LearningRateAdvice advice =
        DefaultLearningRate({.model_type = model.model_type,
                             .hidden_size = model.hidden_size,
                             .lora = shape.method == Method::kLora,
                             .rank = shape.lora_r,
                             .planned_steps = plan->steps,
                             .batch_size = options.batch_size,
                             .schedule = ParseScheduleKind(options.lr_scheduler_type)});
    options.learning_rate = advice.value;
    plan->learning_rate_reason = advice.reason;
  }
  plan->learning_rate = *options.learning_rate;
  plan->schedule = options.lr_scheduler_type;
}

std::vector<std::string> FirstTokens(const SftJob& job) {
  constexpr size_t kShown = 8;
  std::vector<std::string> shown;
  const std::vector<int32_t>& ids = job.train.examples.front().tokens;
  for (size_t i = 0; i < std::min(kShown, ids.size()); ++i) {
    std::string text = std::to_string(ids[i]);
    if (job.loaded.tokenizer) {
      const std::string token = job.loaded.tokenizer->tokenizer.Decode({&ids[i], 1});
      text += "=" + OrderedJson(token).dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
    }
    shown.push_back(std::move(text));
  }
  return shown;
}

// Options of A and B where there is no A and B to have them.
void RefuseFactors(const SftOptions& options) {
  const std::string given = options.factors.Text();
  if (options.method == "full" && !given.empty()) {
    Fail(ErrorCode::kInvalidArgument,
         "method full has no adapter for {}; leave it out, or train with method lora", given);
  }
  if (options.adapter && options.factors.lora_init_a_scale != 1) {
    Fail(ErrorCode::kInvalidArgument,
         "lora_init_a_scale is of a fresh adapter, and {} has its values; leave out one of them",
         *options.adapter);
  }
}

// The tokens that one step can hold at most.
int64_t LargestBatch(const std::vector<Example>& examples, int64_t batch_size) {
  std::vector<int64_t> lengths;
  for (const Example& example : examples) lengths.push_back(example.num_tokens());
  const auto count = std::min(batch_size, static_cast<int64_t>(lengths.size()));
  std::partial_sort(lengths.begin(), lengths.begin() + count, lengths.end(), std::greater<>());
  return std::accumulate(lengths.begin(), lengths.begin() + count, int64_t{0});
}

void FillPlan(const SftOptions& options, SftJob* job) {
  SftPlan& plan = job->plan;
  const Model& model = *job->loaded.model;
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
  plan.batch_size = options.batch_size;
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

// The micro-batch, from memory; then the run itself, which takes that memory.
void MakeRun(std::optional<LoraAdapter> adapter, SftOptions& options, SftJob* job) {
  SftPlan& plan = job->plan;
  Model& model = *job->loaded.model;
  const int64_t longest = std::max(plan.data.lengths.longest, job->heldout.stats.lengths.longest);
  plan.shape.longest_sequence = longest;
  plan.memory_at_hand = {
      .resident = static_cast<int64_t>(model.OwnedBytes() + (adapter ? adapter->Bytes() : 0)),
      .available = ReadMemory().available};
  MicroBatchChoice choice =
      ChooseMicroBatch(model.config(), plan.shape, plan.stored,
                       {.longest = longest,
                        .batch_tokens = LargestBatch(job->train.examples, options.batch_size),
                        .wanted = options.micro_batch_tokens,
                        .recompute = ParseRecompute(options.recompute),
                        .memory = plan.memory_at_hand});
  plan.shape.recompute = choice.recompute.recompute;
  plan.recompute_reason = choice.recompute.reason;
  plan.shape.tokens_per_microbatch = choice.tokens;
  plan.memory = std::move(choice.memory);
  const size_t examples = BytesOf(job->train.examples) + BytesOf(job->heldout.examples);
  plan.memory.push_back({"examples", examples});
  plan.memory_at_hand.resident += static_cast<int64_t>(examples);
  plan.flops = TrainingFlops(
      model.config(), plan.shape,
      static_cast<double>(plan.data.trained_tokens) / static_cast<double>(plan.data.tokens));
  options.micro_batch_tokens = static_cast<int>(choice.tokens);
  const RunOptions run{.recompute = plan.shape.recompute, .tokens_per_microbatch = choice.tokens};
  job->run = adapter ? std::make_unique<TrainingRun>(model, std::move(*adapter), run)
                     : std::make_unique<TrainingRun>(model, run);
  plan.trainable = job->run->NumTrainable();
}

void CollectFiles(const SftOptions& options, SftJob* job) {
  job->text_files = job->loaded.text_files;
  if (options.chat_template && job->loaded.tokenizer) {
    const auto chosen = ChooseChatTemplate(*job->loaded.tokenizer, *options.chat_template);
    if (chosen) ReplaceChatTemplate(job->text_files, chosen->source());
  }
  SftOptions resolved = options;  // what starts or resumes this very run
  resolved.resume = resolved.overwrite_output_dir = resolved.dry_run = false;
  resolved.resume_from_checkpoint.reset();
  job->text_files.push_back({"config.yaml", ToYaml(OptionTable(resolved))});
}

}  // namespace

LoraConfig LoraConfigOf(const SftOptions& options) {
  LoraConfig config;
  config.r = options.lora_r;
  config.expert_r = options.experts.Rank();
  config.shared_outer = options.experts.lora_shared_outer;
  config.lora_alpha = static_cast<float>(options.lora_alpha);
  const std::vector<std::string>& targets = options.target_modules;
  if (targets.size() == 1 && LooksLikeRegex(targets[0])) {
    config.target_regex = targets[0];
  } else {
    config.target_modules = targets;
  }
  return config;
}

RenderConfig RenderConfigOf(const SftOptions& options) {
  RenderConfig config;
  config.train_on = TrainOnOf(options);
  config.max_length = options.max_length;
  config.overlong = options.overlong == "drop" ? Overlong::kDrop : Overlong::kTruncate;
  config.chat_template = options.chat_template.value_or("");
  return config;
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
  if (may_hold_a_run || fs::is_empty(dir, error)) return;
  Fail(ErrorCode::kInvalidArgument,
       "output_dir {}: is not empty; --resume goes on with the run in it, --overwrite starts it "
       "anew, or choose another folder",
       dir);
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
  for (const fs::path& path : doomed) {
    fs::remove_all(path, error);
    if (error) Fail(ErrorCode::kIo, "{}: cannot remove: {}", path.string(), error.message());
  }
}

void BeginOutputDir(const std::string& output_dir, bool begins_anew, const TextFile& settings) {
  if (begins_anew) RemoveEarlierRun(output_dir);
  CreateFolders(output_dir, "output_dir ");
  WriteTextFiles({settings}, output_dir);
}

SftJob PrepareSft(SftOptions& options, const ReshapeData& reshape) {
  CheckOutputDir(options.output_dir, {options.model, options.adapter.value_or("")},
                 Resuming(options) || options.overwrite_output_dir || options.dry_run);
  if (options.method == "full" && options.adapter) {
    Fail(ErrorCode::kInvalidArgument,
         "method full trains the model's own weights; merge the adapter into the model first "
         "(lorikeet merge), or leave out adapter");
  }
  RefuseFactors(options);
  if (!options.eval_data.empty() && options.eval_split > 0) {
    Fail(ErrorCode::kInvalidArgument, "eval_data and eval_split exclude each other; give one");
  }
  SftJob job;
  const std::string checkpoint = ResumeFrom(options);
  const DType compute = ParseComputeDtype(options.dtype);
  job.plan.shape = ShapeOf(options, compute);
  RefuseHopeless(options, job.plan.shape);
  job.loaded = LoadModel(options.model, compute);
  Model& model = *job.loaded.model;
  LoadData(options, reshape, &job);
  job.config = ConfigOf(options);
  job.config.loop.resume_from = checkpoint;
  if (!checkpoint.empty()) TakeUpRecorded(checkpoint, options, &job.plan);

  std::optional<LoraAdapter> adapter;
  if (options.adapter) {
    adapter = LoraAdapter::Load(model, *options.adapter);
  } else if (options.method == "lora") {
    adapter = LoraAdapter::Create(model, LoraConfigOf(options), static_cast<uint64_t>(options.seed),
                                  options.factors.lora_init_a_scale);
  }
  if (adapter) {
    const int expert_rank = job.plan.shape.lora_expert_rank;
    TakeShapeOf(*adapter, &job.plan.shape);
    // A new adapter's experts have the rank that lora_r makes, unless the person names another.
    if (!options.adapter) job.plan.shape.lora_expert_rank = expert_rank;
    job.plan.expert_notes = ExpertNotes(model.config(), job.plan.shape);
    job.plan.lora_alpha = adapter->config().lora_alpha;
    job.plan.factors = options.factors.Text();
    job.plan.adapted_modules = static_cast<int64_t>(adapter->pairs().size());
  }
  FillPlan(options, &job);
  ChooseLearningRate(model.config(), job.plan.shape, options, &job.plan);
  MakeRun(std::move(adapter), options, &job);
  job.plan.peak_flops = MeasureMatMulPeak(compute, 1) * 1e9;
  job.config.learning_rate = *options.learning_rate;
  job.config.micro_batch_tokens = options.micro_batch_tokens;
  job.config.flops_per_token = job.plan.flops.total();
  job.config.peak_flops = job.plan.peak_flops;
  CollectFiles(options, &job);
  return job;
}

}  // namespace lorikeet
