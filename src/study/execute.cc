#include "study/execute.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/folders.h"
#include "core/machine.h"
#include "core/random.h"
#include "data/dataset.h"
#include "recipes/prepare.h"
#include "recipes/run_settings.h"
#include "study/spectral_norms.h"
#include "train/checkpoint.h"
#include "train/sft.h"

namespace lorikeet {
namespace {

// Rows per example: a key of two tokens and the labels, without the last one.
constexpr int64_t kLabelTokens = kLabelsPerExample + 1;

int64_t LabelExamples(int64_t labels) { return std::max<int64_t>(1, labels / kLabelsPerExample); }

// The facts about the data from which a run's arithmetic follows.
struct DataSize {
  double examples = 0, tokens_per_example = 0, heldout_tokens = 0, trained_share = 0;
};

// An example is then a prompt with its group of completions.
DataSize SizeWithRewards(const RunSpec& spec, const StudyModel& model) {
  const double prompt = model.prompt_tokens;
  const auto completion = static_cast<double>(spec.rewards()->max_tokens);
  const double completions = completion * static_cast<double>(spec.rewards()->group_size);
  const auto heldout = static_cast<double>(model.heldout_problems.size());
  return {static_cast<double>(spec.run.steps.batch_size), prompt + completions,
          heldout * (prompt + completion), completions / (prompt + completions)};
}

DataSize SizeOf(const RunSpec& spec, const StudyModel& model) {
  if (spec.rewards()) return SizeWithRewards(spec, model);
  if (spec.random_labels > 0) {
    const auto examples = static_cast<double>(LabelExamples(spec.random_labels));
    return {examples, kLabelTokens, examples * kLabelTokens,
            static_cast<double>(kLabelsPerExample) / kLabelTokens};
  }
  return {static_cast<double>(model.train.size()), model.TokensPerExample(),
          static_cast<double>(CountTokens(model.heldout)), model.TrainedShare()};
}

SftConfig MeasuredRun(const RunSpec& spec, const std::string& dir, int64_t save_steps) {
  SftConfig config = SftConfigOf(spec.run);
  config.loop.eval_at = spec.eval_at;
  config.loop.output_dir = dir;
  config.loop.keep_result = false;
  config.loop.save_steps = save_steps;
  config.loop.save_total_limit = 1;
  config.loop.tensorboard = false;
  return config;
}

Json FactsOf(const RunSpec& spec, const StudyModel& model, const std::vector<Example>& train) {
  const ModelConfig& config = model.base->config();
  Json facts = {{"model_type", config.model_type},
                {"hidden_size", config.hidden_size},
                {"vocab_size", config.vocab_size},
                {"parameters", model.base->NumParameters()}};
  if (spec.rewards()) {
    facts["heldout_problems"] = model.heldout_problems.size();
    facts["prompt_tokens"] = model.prompt_tokens;
    return facts;
  }
  facts["data_examples"] = train.size();
  facts["data_tokens"] = CountTokens(train);
  facts["data_trained_tokens"] = CountTrainedTokens(train);
  if (config.num_experts == 0) return facts;
  int64_t attention = 0, mlp = 0;  // parameters; routers are neither
  for (const LayerWeights& layer : model.base->weights().layers) {
    ForEachLinear(layer, [&](const Linear& linear) {
      if (linear.name.ends_with(".gate")) return;
      const bool in_attention = linear.name.find(".self_attn.") != std::string::npos;
      (in_attention ? attention : mlp) += linear.weight.size();
    });
  }
  facts["num_experts"] = config.num_experts;
  facts["num_experts_per_tok"] = config.num_experts_per_tok;
  facts["attention_parameters"] = attention;
  facts["mlp_parameters"] = mlp;
  return facts;
}

// Forward is a third of attention's products.
double ForwardOf(const FlopsPerToken& flops) { return flops.forward + flops.attention / 3; }

// Counts the tokens and FLOPs of a run that learned from rewards, from its steps.
void CountWork(const RunSpec& spec, const StudyModel& model, RunRecord* record) {
  const FlopsPerToken flops =
      TrainingFlops(model.base->config(), ShapeOf(spec, model), SizeOf(spec, model).trained_share);
  const double prompts = model.prompt_tokens * static_cast<double>(spec.run.steps.batch_size);
  double sampled = 0;
  for (const RewardStep& step : record->reward_steps) {
    record->tokens += step.trained_tokens;
    record->trained_tokens += step.sampled_tokens;
    sampled += static_cast<double>(step.sampled_tokens) + prompts;
  }
  record->steps = std::ssize(record->reward_steps);
  record->sampling_flops = sampled * ForwardOf(flops);
}

void RemoveCheckpoints(const std::string& dir) {
  for (const CheckpointRef& checkpoint : ListCheckpoints(dir)) {
    RemoveFolderAtomically(checkpoint.dir);
  }
}

// Whole ones or parts.
bool HoldsCheckpoints(const std::string& dir) {
  std::error_code error;
  for (std::filesystem::directory_iterator it(dir, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().filename().string().starts_with("checkpoint-")) return true;
  }
  return false;
}

// Returns false when stopped.
bool TrainOnExamples(const RunSpec& spec, const StudyModel& model, TrainingRun& run,
                     const std::string& dir, int64_t save_steps, const std::function<bool()>& stop,
                     RunRecord* record) {
  std::vector<Example> labels;
  if (spec.random_labels > 0) {
    labels = RandomLabels(spec.random_labels, model.base->config().vocab_size, spec.seed());
  }
  const std::vector<Example>& train = labels.empty() ? model.train : labels;
  const std::vector<Example>& heldout = labels.empty() ? model.heldout : labels;
  record->facts = FactsOf(spec, model, train);
  SftConfig config = MeasuredRun(spec, dir, save_steps);
  config.settings = SettingsOf(run, train, spec.run, spec.steps());
  if (!ListCheckpoints(dir).empty()) config.loop.resume_from = LatestCheckpoint(dir);
  SftHooks hooks;
  hooks.loop.stop_requested = stop;
  if (!spec.full()) {
    hooks.also_evaluated = [](const TrainingRun& now) { return AdapterNorms(*now.adapter()); };
  }
  const SftResult result = TrainSft(run, train, heldout, config, hooks);
  record->steps = result.steps;
  return !result.interrupted;
}

}  // namespace

int64_t StudyModel::LongestExample() const {
  int64_t longest = 1;
  for (const auto* examples : {&train, &heldout}) {
    for (const Example& example : *examples) longest = std::max(longest, example.num_tokens());
  }
  return longest;
}

double StudyModel::TokensPerExample() const {
  return static_cast<double>(CountTokens(train)) / static_cast<double>(train.size());
}

double StudyModel::TrainedShare() const {
  return static_cast<double>(CountTrainedTokens(train)) / static_cast<double>(CountTokens(train));
}

TrainingShape ShapeOf(const RunSpec& spec, const StudyModel& model) {
  TrainingShape shape = ShapeOf(spec.run, model.base->compute());
  if (spec.rewards()) {
    const double prompt = model.prompt_tokens;
    shape.sequence_length = std::llround(prompt) + spec.rewards()->max_tokens;
    shape.shared_prefixes = true;
    return shape;
  }
  shape.sequence_length = spec.random_labels > 0 ? kLabelTokens : MeanContextLength(model.train);
  shape.longest_sequence = model.LongestExample();
  return shape;
}

int64_t MemoryOf(const RunSpec& spec, const StudyModel& model) {
  const std::vector<MemoryPart> parts =
      PlanTrainingMemory(model.base->config(), ShapeOf(spec, model), model.stored);
  size_t bytes = TotalBytes(parts);
  if (spec.rewards()) {
    // Training problems are like those held out; to look at them all would take too long here.
    const int64_t prompt = LongestPrompt(model.problems->Format(), model.heldout_problems);
    const int64_t longest = prompt + spec.rewards()->max_tokens;
    const auto sampling = Generator::Plan(*model.base, SamplingLimits(spec, longest));
    bytes += sampling.Beside(PartBytes(parts, kActivationsPart));
  }
  return static_cast<int64_t>(bytes);
}

int64_t TrainableOf(const RunSpec& spec, const StudyModel& model) {
  return CountTrainable(model.base->config(), ShapeOf(spec, model));
}

RunFlops FlopsOf(const RunSpec& spec, const StudyModel& model) {
  const DataSize data = SizeOf(spec, model);
  const FlopsPerToken flops =
      TrainingFlops(model.base->config(), ShapeOf(spec, model), data.trained_share);
  std::set<int64_t> evaluated(spec.eval_at.begin(), spec.eval_at.end());
  evaluated.insert({0, spec.steps()});
  RunFlops run;
  const double tokens = static_cast<double>(spec.steps()) * data.tokens_per_example *
                        std::min(static_cast<double>(spec.run.steps.batch_size), data.examples);
  run.training = flops.total() * tokens;
  if (spec.rewards()) run.sampling = ForwardOf(flops) * tokens;
  run.evaluation = static_cast<double>(evaluated.size()) * data.heldout_tokens * ForwardOf(flops);
  return run;
}

StudyModel& Executor::ModelAt(const std::string& path) {
  const auto found = models_.find(path);
  if (found != models_.end()) return found->second;
  return models_.emplace(path, load_(path)).first->second;
}

bool Executor::Run(const RunSpec& spec, int64_t save_steps, const std::function<bool()>& stop) {
  StudyModel& model = ModelAt(spec.model);
  RunRecord record;
  record.spec = spec;
  record.id = RunId(spec);
  const std::string dir = ledger_.RunDir(record.id);
  ledger_.Begin(spec);
  TrainingShape shape = ShapeOf(spec.run, model.base->compute());
  if (spec.rewards() != nullptr) {
    const int64_t longest = LongestSequence(spec, *model.problems, model.heldout_problems);
    shape.tokens_per_microbatch = std::max(shape.tokens_per_microbatch, longest);
  }
  const std::unique_ptr<Model> own = spec.full() ? model.reload() : nullptr;
  Model& trained = own ? *own : *model.base;
  auto settings = spec.run;  // a copy that may be filled in
  const std::unique_ptr<TrainingRun> run =
      MakeRun(trained, MakeAdapter(trained, {}, &settings, &shape), shape);
  CleanLeftovers(dir);
  record.flops_per_token =
      TrainingFlops(model.base->config(), ShapeOf(spec, model), SizeOf(spec, model).trained_share)
          .total();
  record.trainable = run->NumTrainable();
  try {
    const bool done = spec.rewards()
                          ? TrainOnRewards(spec, *model.problems, model.heldout_problems, *run, dir,
                                           save_steps, stop)
                          : TrainOnExamples(spec, model, *run, dir, save_steps, stop, &record);
    if (!done) return false;
  } catch (const Error& e) {
    if (e.code() != ErrorCode::kDiverged) throw;
    record.diverged = true;
    record.why = e.what();
    record.steps = run->optim_steps();
  }
  ledger_.ReadMetrics(record.id, &record);
  if (spec.rewards()) {
    CountWork(spec, model, &record);
    record.facts = FactsOf(spec, model, {});
  }
  record.peak_bytes = PeakResidentBytes();
  ledger_.Finish(record);
  RemoveCheckpoints(dir);
  return true;
}

void RemoveLeftovers(const Ledger& ledger, const std::string& id) {
  const std::string dir = ledger.RunDir(id);
  if (!ledger.Has(id) || !HoldsCheckpoints(dir)) return;
  const RunLock lock(ledger, id);
  if (!lock.held()) return;
  CleanLeftovers(dir);
  RemoveCheckpoints(dir);
}

int64_t LabelChoices(int64_t vocab_size) { return std::min<int64_t>(vocab_size, 1024); }

std::vector<Example> RandomLabels(int64_t labels, int64_t vocab_size, uint64_t seed) {
  const int64_t count = LabelExamples(labels);
  const RandomStream random(seed, "random_labels");
  const auto choices = static_cast<uint64_t>(LabelChoices(vocab_size));
  // Keys are numbers written with two tokens: no two examples share one.
  const int64_t base = std::max<int64_t>(2, std::llround(std::ceil(std::sqrt(count))));
  if (base > vocab_size) {
    Fail(ErrorCode::kInvalidArgument,
         "{} random labels need {} different tokens for their keys, and the vocabulary has {}; "
         "take fewer",
         labels, base, vocab_size);
  }
  std::vector<Example> examples;
  for (int64_t i = 0; i < count; ++i) {
    Example example;
    example.tokens = {static_cast<int32_t>(i / base), static_cast<int32_t>(i % base)};
    for (int64_t j = 0; j < kLabelsPerExample; ++j) {
      const auto index = static_cast<uint64_t>(i * kLabelsPerExample + j);
      example.tokens.push_back(static_cast<int32_t>(random.Below(index, choices)));
    }
    example.target_tokens.assign(example.tokens.begin() + 1, example.tokens.end());
    example.tokens.pop_back();
    example.weights.assign(example.tokens.size(), 1.0F);
    example.weights.front() = 0;  // the key's second half
    examples.push_back(std::move(example));
  }
  return examples;
}

}  // namespace lorikeet
