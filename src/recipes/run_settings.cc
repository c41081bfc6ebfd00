#include "recipes/run_settings.h"

#include <algorithm>
#include <string_view>

#include "options/args.h"
#include "recipes/prepare.h"
#include "train/run_settings.h"

namespace lorikeet {
namespace {

// Options that are recorded under another name or in another form, or that change no number.
constexpr std::string_view kOtherwise[] = {
    "adapter",          "num_train_epochs", "max_steps", "recompute",           "warmup_ratio",
    "max_length",       "overlong",         "train_on",  "assistant_only_loss", "base_kl_steps",
    "prompts_per_step", "chat_template",
};

// Every option of the run's blocks.
struct AllBlocks {
  Run& run;

  template <class V>
  void ForEach(V& v) {
    run.adapter.ForEach(v);
    run.optimizer.ForEach(v);
    Steps& steps = run.steps;
    if (Rl* rl = run.rl()) {
      steps.Prompts(v);
      rl->Tasks(v);
      rl->Grader(v);
      rl->Rewards(v);
      rl->rendering.Template(v);
      rl->Loss(v);
      rl->Clipping(v);
      rl->Samples(v);
    } else {
      steps.Batch(v, "");
    }
    steps.MicroBatch(v, 0, "");
    steps.Length(v);
    steps.Seed(v, "");
    steps.Shuffle(v, "");
    steps.Memory(v);
  }
};

// Adds options that are not at their default and not in `settings` yet.
void AddChanged(const Run& run, const std::vector<std::string_view>& recorded, Json* settings) {
  Run copy = run;
  AllBlocks blocks{copy};
  const OrderedJson changed = ChangedToJson(OptionTable(blocks));
  for (const auto& [name, value] : changed.items()) {
    const auto among = [&name = name](const auto& names) {
      return std::find(std::begin(names), std::end(names), name) != std::end(names);
    };
    if (among(kOtherwise) || among(recorded) || settings->contains(name)) continue;
    (*settings)[name] = Json::parse(value.dump());
  }
}

// Only where they differ from 1, as in few runs.
void AddFactorScales(const Adapter& adapter, double init_a, Json* settings) {
  const auto add = [&](const char* name, double value) {
    if (value != 1) (*settings)[name] = value;
  };
  add("lora_init_a_scale", init_a);
  add("learning_rate_a_scale", adapter.a.learning_rate);
  add("loraplus_lr_ratio", adapter.b.learning_rate / adapter.a.learning_rate);
  add("adam_epsilon_a_scale", adapter.a.eps);
  add("adam_epsilon_b_scale", adapter.b.eps);
  add("weight_decay_a_scale", adapter.a.weight_decay);
  add("weight_decay_b_scale", adapter.b.weight_decay);
}

}  // namespace

Json SettingsOf(const TrainingRun& training, const std::vector<Example>& train, const Run& run,
                int64_t total_steps) {
  const Optimizer& optimizer = run.optimizer;
  const Steps& steps = run.steps;
  const bool constant = ParseScheduleKind(optimizer.lr_scheduler_type) == ScheduleKind::kConstant;
  Json settings = {
      {"model", FingerprintOf(training.model())},
      {"dtype", DTypeName(training.model().compute())},
      {"data", FingerprintOf(train)},
      {"examples", train.size()},
      {"method", run.adapter.method},
      {"batch_size", steps.batch_size},
      {"shuffle", steps.shuffle},
      {"seed", steps.seed},
      {"learning_rate", optimizer.learning_rate.value_or(0)},
      {"lr_scheduler_type", constant ? "constant" : optimizer.lr_scheduler_type},
      {"warmup_steps", WarmupSteps(optimizer.warmup_steps, optimizer.warmup_ratio, total_steps)},
      {"weight_decay", optimizer.weight_decay},
      {"adam_beta1", optimizer.adam_beta1},
      {"adam_beta2", optimizer.adam_beta2},
      {"adam_epsilon", optimizer.adam_epsilon},
      {"max_grad_norm", optimizer.max_grad_norm},
      {"micro_batch_tokens", steps.micro_batch_tokens}};
  if (std::holds_alternative<Pretrain>(run.objective)) settings["decay_matrices_only"] = true;
  // A constant rate does not know when it ends: such a run may be made longer.
  if (!constant) settings["max_steps"] = total_steps;
  std::vector<std::string_view> recorded = {"lora_r",     "lora_expert_rank", "lora_shared_outer",
                                            "lora_alpha", "use_rslora",       "target_modules"};
  if (const LoraAdapter* adapter = training.adapter()) {
    const LoraConfig& lora = adapter->config();
    settings["lora_r"] = lora.r;
    settings["lora_alpha"] = lora.lora_alpha;
    settings["use_rslora"] = lora.use_rslora;
    if (lora.use_dora) settings["use_dora"] = true;
    settings["target_modules"] = lora.target_modules;
    AddFactorScales(run.adapter, adapter->init_a(), &settings);
    recorded.insert(recorded.end(),
                    {"lora_init_a_scale", "loraplus_lr_ratio", "adam_epsilon_a_scale",
                     "adam_epsilon_b_scale", "weight_decay_a_scale", "weight_decay_b_scale"});
    if (training.model().config().num_experts > 0) {
      settings["rank_pattern"] = Json::object();
      for (const auto& [pattern, r] : lora.rank_pattern) settings["rank_pattern"][pattern] = r;
      settings["lora_parameters"] = adapter->NumParameters();  // fewer where experts share factors
    }
  }
  AddChanged(run, recorded, &settings);
  return settings;
}

Json RlSettingsOf(const Run& run) {
  const RlConfig config = RlConfigOf(run);
  const UpdateConfig& update = config.update;
  return {{"objective", update.objective.name},
          {"clip_low", update.objective.loss.clip_low},
          {"clip_high", update.objective.loss.clip_high},
          {"kl_coef", update.objective.loss.kl_coef},
          {"temperature", update.objective.loss.temperature},
          {"minibatches", update.minibatches},
          {"target_kl", update.target_kl},
          {"overlong_buffer", config.overlong_buffer},
          {"max_rounds", config.max_rounds},
          {"max_prompt_tokens", config.max_prompt_tokens},
          {"groups_per_step", config.groups_per_step},
          {"group_size", config.group_size},
          {"updates_per_batch", update.passes},
          {"max_tokens", config.max_tokens},
          {"seed", config.seed},
          {"learning_rate", config.learning_rate},
          {"max_grad_norm", update.optim.max_grad_norm}};
}

Json RlCommandSettingsOf(const Run& run) {
  const Adapter& adapter = run.adapter;
  const Rl& rl = std::get<Rl>(run.objective);
  Json settings = RlSettingsOf(run);
  settings["method"] = adapter.method;
  settings["lora_r"] = adapter.lora_r;
  settings["lora_expert_rank"] = adapter.ExpertRank();
  settings["lora_shared_outer"] = adapter.lora_shared_outer;
  settings["lora_alpha"] = adapter.lora_alpha;
  settings["target_modules"] = adapter.target_modules;
  settings["task"] = rl.task;
  settings["grader"] = rl.grader;
  settings["rewards"] = rl.rewards;
  settings["difficulty"] = rl.difficulty.value_or(0);
  settings["stop"] = rl.stop;
  settings["micro_batch_tokens"] = run.steps.micro_batch_tokens;
  AddChanged(run, {}, &settings);
  return settings;
}

}  // namespace lorikeet
