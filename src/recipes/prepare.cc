#include "recipes/prepare.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "chat/chat_format.h"
#include "core/error.h"
#include "options/args.h"

namespace lorikeet {
namespace {

int64_t OverlongBuffer(const Rl& rl, const Objective& objective) {
  if (rl.overlong_buffer.value_or(0) > rl.max_tokens) {
    Fail(ErrorCode::kInvalidArgument, "overlong_buffer {} exceeds max_tokens {}; lower it",
         *rl.overlong_buffer, rl.max_tokens);
  }
  return rl.overlong_buffer ? *rl.overlong_buffer : objective.DefaultOverlongBuffer(rl.max_tokens);
}

UpdateConfig UpdateOf(const Run& run, const Rl& rl) {
  if (rl.minibatches > run.steps.batch_size) {
    Fail(ErrorCode::kInvalidArgument,
         "minibatches {} of prompts_per_step {}: each needs a prompt; lower minibatches",
         rl.minibatches, run.steps.batch_size);
  }
  UpdateConfig config;
  config.objective = ObjectiveOf(rl);
  config.optim = OptimParamsOf(run);
  config.passes = rl.updates_per_batch;
  config.minibatches = rl.minibatches;
  config.target_kl = rl.target_kl;
  return config;
}

// Compares the options that the user has set with the adapter's file.
class AdapterCheck {
 public:
  AdapterCheck(const std::string& dir, const std::set<std::string>& set) : dir_(dir), set_(set) {}

  template <class T>
  void Same(const char* option, const T& wanted, const T& has) const {
    if (!set_.contains(option) || wanted == has) return;
    Refuse(option, fmt::format("{}", wanted), fmt::format("{}", has));
  }
  // The modules that target_modules names must be the adapter's. all: the model's; has: of them,
  // the adapter's.
  void SameModules(const Adapter& wanted, const std::vector<std::string>& all,
                   const std::vector<std::string>& has) const {
    if (!set_.contains("target_modules")) return;
    if (MatchTargets(all, LoraConfigOf(wanted)) == has) return;
    Refuse("target_modules", fmt::format("{}", fmt::join(wanted.target_modules, ", ")),
           fmt::format("{}", fmt::join(PeftTargets(all, has), ", ")));
  }

 private:
  [[noreturn]] void Refuse(const char* option, const std::string& wanted,
                           const std::string& has) const {
    Fail(ErrorCode::kInvalidArgument,
         "{} is {}, and the adapter {} has {}; give the same or leave {} out", option, wanted, dir_,
         has, option);
  }

  const std::string& dir_;
  const std::set<std::string>& set_;
};

LoraAdapter LoadAdapter(Model& model, const std::set<std::string>& set, Run* run,
                        TrainingShape* shape) {
  Adapter& wanted = run->adapter;
  LoraAdapter adapter = LoraAdapter::Load(model, *wanted.adapter);
  const LoraConfig& has = adapter.config();
  TakeShapeOf(adapter, shape);
  const AdapterCheck check(*wanted.adapter, set);
  check.Same("lora_r", wanted.lora_r, shape->lora_r);
  check.Same("lora_expert_rank", wanted.ExpertRank(), shape->lora_expert_rank);
  check.Same("lora_shared_outer", wanted.lora_shared_outer, shape->lora_shared_outer);
  check.Same("lora_alpha", static_cast<float>(wanted.lora_alpha), has.lora_alpha);
  check.Same("use_rslora", wanted.use_rslora, has.use_rslora);
  std::set<std::string> has_pair;
  for (const LoraPair& pair : adapter.pairs()) has_pair.insert(pair.module);
  std::vector<std::string> modules, adapted;
  ForEachLinear(model.weights(), [&](const Linear& linear) {
    modules.push_back(linear.name);
    if (has_pair.contains(linear.name)) adapted.push_back(linear.name);
  });
  check.SameModules(wanted, modules, adapted);
  wanted.lora_r = shape->lora_r;
  if (shape->lora_expert_rank > 0) wanted.lora_expert_rank = shape->lora_expert_rank;
  wanted.lora_shared_outer = shape->lora_shared_outer;
  wanted.lora_alpha = has.lora_alpha;
  wanted.use_rslora = has.use_rslora;
  wanted.target_modules = PeftTargets(modules, adapted);
  return adapter;
}

}  // namespace

LoraConfig LoraConfigOf(const Adapter& adapter) {
  LoraConfig config;
  config.r = adapter.lora_r;
  config.expert_r = adapter.ExpertRank();
  config.shared_outer = adapter.lora_shared_outer;
  config.lora_alpha = static_cast<float>(adapter.lora_alpha);
  config.use_rslora = adapter.use_rslora;
  config.target_modules = adapter.target_modules;
  return config;
}

OptimParams OptimParamsOf(const Run& run) {
  const Optimizer& optimizer = run.optimizer;
  OptimParams params;
  params.beta1 = optimizer.adam_beta1;
  params.beta2 = optimizer.adam_beta2;
  params.eps = optimizer.adam_epsilon;
  params.weight_decay = optimizer.weight_decay;
  params.decay_matrices_only = std::holds_alternative<Pretrain>(run.objective);
  params.max_grad_norm = optimizer.max_grad_norm;
  params.a = run.adapter.a;
  params.b = run.adapter.b;
  return params;
}

SftConfig SftConfigOf(const Run& run) {
  SftConfig config;
  config.batch_size = run.steps.batch_size;
  config.shuffle = run.steps.shuffle;
  config.num_train_epochs = run.steps.num_train_epochs;
  config.loop.max_steps = run.steps.max_steps.value_or(0);
  config.seed = static_cast<uint64_t>(run.steps.seed);
  config.learning_rate = run.optimizer.learning_rate.value_or(0);
  config.schedule = ParseScheduleKind(run.optimizer.lr_scheduler_type);
  config.warmup_steps = run.optimizer.warmup_steps;
  config.warmup_ratio = run.optimizer.warmup_ratio;
  config.optim = OptimParamsOf(run);
  return config;
}

Objective ObjectiveOf(const Rl& rl) {
  Objective objective = GetObjective(rl.objective);
  objective.loss.clip_low = rl.clip_low.value_or(objective.loss.clip_low);
  objective.loss.clip_high = rl.clip_high.value_or(objective.loss.clip_high);
  objective.loss.kl_coef = rl.kl_coef;
  objective.loss.temperature = rl.temperature;
  return objective;
}

RlConfig RlConfigOf(const Run& run) {
  const Rl& rl = std::get<Rl>(run.objective);
  if (!run.steps.max_steps) {
    Fail(ErrorCode::kInvalidArgument, "max_steps: give the number of steps");
  }
  constexpr int64_t kBaseKlSteps = 10;
  RlConfig config;
  config.update = UpdateOf(run, rl);
  const Objective& objective = config.update.objective;
  config.groups_per_step = run.steps.batch_size;
  config.group_size = rl.group_size;
  config.loop.max_steps = *run.steps.max_steps;
  config.max_tokens = rl.max_tokens;
  config.max_prompt_tokens = rl.max_prompt_tokens.value_or(0);
  config.overlong_buffer = OverlongBuffer(rl, objective);
  config.max_rounds = rl.max_rounds ? *rl.max_rounds : objective.DefaultRounds();
  config.base_kl_steps = rl.base_kl_steps.value_or(run.adapter.full() ? 0 : kBaseKlSteps);
  config.seed = static_cast<uint64_t>(run.steps.seed);
  config.learning_rate = run.optimizer.learning_rate.value_or(0);
  return config;
}

TrainingShape ShapeOf(const Run& run, DType compute) {
  TrainingShape shape;
  shape.method = run.adapter.full() ? Method::kFull : Method::kLora;
  shape.lora_r = run.adapter.lora_r;
  shape.lora_expert_rank = run.adapter.ExpertRank();
  shape.lora_shared_outer = run.adapter.lora_shared_outer;
  shape.target_modules = run.adapter.target_modules;
  shape.compute = compute;
  if (run.steps.micro_batch_tokens > 0) shape.tokens_per_microbatch = run.steps.micro_batch_tokens;
  return shape;
}

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
  shape->use_dora = adapter.config().use_dora;
}

LearningRateQuery LearningRateQueryOf(const Run& run, const ModelConfig& model,
                                      int64_t planned_steps) {
  return {.model_type = model.model_type,
          .hidden_size = model.hidden_size,
          .lora = !run.adapter.full(),
          .rank = run.adapter.lora_r,
          .rslora = run.adapter.use_rslora,
          .planned_steps = planned_steps,
          .batch_size = run.steps.batch_size,
          .schedule = ParseScheduleKind(run.optimizer.lr_scheduler_type),
          .rl = run.rl() != nullptr};
}

std::string ChooseLearningRate(const ModelConfig& model, int64_t planned_steps, Run* run) {
  if (run->optimizer.learning_rate) return "";
  LearningRateAdvice advice = DefaultLearningRate(LearningRateQueryOf(*run, model, planned_steps));
  run->optimizer.learning_rate = advice.value;
  return std::move(advice.reason);
}

void CheckAdapter(const Adapter& adapter) {
  if (adapter.full() && adapter.adapter) {
    Fail(ErrorCode::kInvalidArgument,
         "method full trains the model's own weights; merge the adapter into the model first "
         "(lorikeet merge), or leave out adapter");
  }
  const std::string factors = adapter.FactorText();
  if (adapter.full() && !factors.empty()) {
    Fail(ErrorCode::kInvalidArgument,
         "method full has no adapter for {}; leave it out, or train with method lora", factors);
  }
  if (adapter.adapter && adapter.lora_init_a_scale != 1) {
    Fail(ErrorCode::kInvalidArgument,
         "lora_init_a_scale is for a new adapter, but {} has values already; leave out one of them",
         *adapter.adapter);
  }
}

std::optional<LoraAdapter> MakeAdapter(Model& model, const std::set<std::string>& set, Run* run,
                                       TrainingShape* shape) {
  if (run->adapter.full()) return std::nullopt;
  if (run->adapter.adapter) return LoadAdapter(model, set, run, shape);
  LoraAdapter adapter =
      LoraAdapter::Create(model, LoraConfigOf(run->adapter), static_cast<uint64_t>(run->steps.seed),
                          run->adapter.lora_init_a_scale);
  // The experts of a new adapter have the rank that lora_r makes, unless the user names another.
  const int expert_rank = shape->lora_expert_rank;
  TakeShapeOf(adapter, shape);
  shape->lora_expert_rank = expert_rank;
  return adapter;
}

std::unique_ptr<TrainingRun> MakeRun(Model& model, std::optional<LoraAdapter> adapter,
                                     const TrainingShape& shape, std::shared_ptr<Arena> workspace) {
  const RunOptions options = {.recompute = shape.recompute,
                              .tokens_per_microbatch = shape.tokens_per_microbatch,
                              .workspace = std::move(workspace)};
  return adapter ? std::make_unique<TrainingRun>(model, std::move(*adapter), options)
                 : std::make_unique<TrainingRun>(model, options);
}

std::vector<TextFile> CollectFiles(const LoadedModel& loaded, const RenderingOptions& rendering,
                                   const std::string& config_yaml) {
  std::vector<TextFile> files = loaded.text_files;
  if (rendering.chat_template && loaded.tokenizer) {
    const auto chosen = ChooseChatTemplate(*loaded.tokenizer, *rendering.chat_template);
    if (chosen) ReplaceChatTemplate(files, chosen->source());
  }
  files.push_back({"config.yaml", config_yaml});
  return files;
}

}  // namespace lorikeet
