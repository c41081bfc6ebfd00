#include "study/run_spec.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "core/error.h"

namespace lorikeet {
namespace {

// FNV-1a, 64 bits.
std::string Hash(const std::string& text) {
  uint64_t hash = 0xCBF29CE484222325;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3;
  return fmt::format("{:016x}", hash);
}

Json ScalesJson(const FactorScales& scales) {
  return {scales.learning_rate, scales.eps, scales.weight_decay};
}

FactorScales ScalesFrom(const Json& json) {
  return {json.at(0).get<double>(), json.at(1).get<double>(), json.at(2).get<double>()};
}

// Settings of the experts that are not at their default, as text.
std::string OfExperts(const Adapter& adapter) {
  std::string text;
  if (adapter.ExpertRank() > 0) text += fmt::format(", {} in each expert", adapter.ExpertRank());
  if (adapter.lora_shared_outer) text += ", shared outer factors";
  return text;
}

// Keys that runs on examples do not have, so that their IDs are what they were before there were
// rewards.
Json RewardsJson(const Rl& rl, int64_t final_steps) {
  Json json = {{"task", rl.task},
               {"difficulty", rl.difficulty.value_or(0)},
               {"objective", rl.objective},
               {"temperature", rl.temperature},
               {"group_size", rl.group_size},
               {"max_tokens", rl.max_tokens},
               {"max_prompt_tokens", rl.max_prompt_tokens.value_or(0)},
               {"final_steps", final_steps}};
  return json;
}

// A number that is open if it is 0.
std::optional<int> OpenIfZero(const Json& json) {
  const int value = json.get<int>();
  return value == 0 ? std::nullopt : std::optional(value);
}

void RewardsFrom(const Json& json, RunSpec* spec) {
  Rl& rl = spec->run.objective.emplace<Rl>();
  json.at("task").get_to(rl.task);
  rl.difficulty = OpenIfZero(json.at("difficulty"));
  json.at("objective").get_to(rl.objective);
  json.at("temperature").get_to(rl.temperature);
  json.at("group_size").get_to(rl.group_size);
  json.at("max_tokens").get_to(rl.max_tokens);
  rl.max_prompt_tokens = OpenIfZero(json.at("max_prompt_tokens"));
  json.at("final_steps").get_to(spec->final_steps);
}

// The settings that determine the numbers of a run.
Json Deciding(const RunSpec& spec) {
  Json json = ToJson(spec);
  json.erase("model");
  if (spec.rewards() != nullptr) json.at("rewards").erase("final_steps");
  return json;
}

void AdapterFrom(const Json& json, Adapter* adapter) {
  json.at("lora_r").get_to(adapter->lora_r);
  json.at("lora_alpha").get_to(adapter->lora_alpha);
  json.at("init_a").get_to(adapter->lora_init_a_scale);
  json.at("target_modules").get_to(adapter->target_modules);
  adapter->a = ScalesFrom(json.at("scales_a"));
  adapter->b = ScalesFrom(json.at("scales_b"));
  if (json.contains("expert_rank")) adapter->lora_expert_rank = OpenIfZero(json.at("expert_rank"));
  adapter->lora_shared_outer = json.value("shared_outer", false);
  adapter->use_rslora = json.value("use_rslora", false);
}

}  // namespace

Run RunSpec::StudyRun() {
  Run run;
  run.steps.max_steps = 100;
  run.steps.micro_batch_tokens = 2048;
  run.steps.seed = 1;
  run.optimizer.max_grad_norm = 0;
  return run;
}

std::string RunSpec::MethodName() const {
  if (full()) return "full";
  const Adapter& adapter = run.adapter;
  const bool all = adapter.target_modules == std::vector<std::string>{"all-linear"};
  const char* kind = adapter.use_rslora ? "rsLoRA" : "LoRA";
  return all ? fmt::format("{} rank {}{}", kind, adapter.lora_r, OfExperts(adapter))
             : fmt::format("{} rank {} on {}", kind, adapter.lora_r, ModulesName());
}

std::string RunSpec::ModulesName() const {
  if (full()) return "full";
  return fmt::format("{}{}", fmt::join(run.adapter.target_modules, ", "), OfExperts(run.adapter));
}

Json ToJson(const RunSpec& spec) {
  const Adapter& adapter = spec.run.adapter;
  const Optimizer& optimizer = spec.run.optimizer;
  const Steps& steps = spec.run.steps;
  Json json = {{"model", spec.model},
               {"model_print", spec.model_fingerprint},
               {"data_print", spec.data_fingerprint},
               {"dtype", spec.dtype},
               {"random_labels", spec.random_labels},
               {"method", adapter.method},
               {"batch_size", steps.batch_size},
               {"steps", spec.steps()},
               {"micro_batch_tokens", steps.micro_batch_tokens},
               {"seed", steps.seed},
               {"learning_rate", spec.learning_rate()},
               {"lr_scheduler_type", optimizer.lr_scheduler_type},
               {"weight_decay", optimizer.weight_decay},
               {"adam_beta1", optimizer.adam_beta1},
               {"adam_beta2", optimizer.adam_beta2},
               {"adam_epsilon", optimizer.adam_epsilon},
               {"max_grad_norm", optimizer.max_grad_norm},
               {"eval_at", spec.eval_at}};
  if (const Rl* rl = spec.rewards()) json["rewards"] = RewardsJson(*rl, spec.final_steps);
  if (spec.full()) return json;
  json["lora_r"] = adapter.lora_r;
  json["lora_alpha"] = adapter.lora_alpha;
  json["init_a"] = adapter.lora_init_a_scale;
  json["target_modules"] = adapter.target_modules;
  json["scales_a"] = ScalesJson(adapter.a);
  json["scales_b"] = ScalesJson(adapter.b);
  // Left out where they are the default, as they were before they existed: IDs are hashes of this.
  if (adapter.ExpertRank() > 0) json["expert_rank"] = adapter.ExpertRank();
  if (adapter.lora_shared_outer) json["shared_outer"] = true;
  if (adapter.use_rslora) json["use_rslora"] = true;
  return json;
}

RunSpec RunSpecFromJson(const Json& json, const std::string& where) {
  RunSpec spec;
  Optimizer& optimizer = spec.run.optimizer;
  Steps& steps = spec.run.steps;
  try {
    json.at("model").get_to(spec.model);
    json.at("model_print").get_to(spec.model_fingerprint);
    json.at("data_print").get_to(spec.data_fingerprint);
    json.at("dtype").get_to(spec.dtype);
    json.at("random_labels").get_to(spec.random_labels);
    spec.run.adapter.method = json.at("method") == "full" ? "full" : "lora";
    json.at("batch_size").get_to(steps.batch_size);
    steps.max_steps = json.at("steps").get<int64_t>();
    json.at("micro_batch_tokens").get_to(steps.micro_batch_tokens);
    json.at("seed").get_to(steps.seed);
    optimizer.learning_rate = json.at("learning_rate").get<double>();
    json.at("lr_scheduler_type").get_to(optimizer.lr_scheduler_type);
    json.at("weight_decay").get_to(optimizer.weight_decay);
    json.at("adam_beta1").get_to(optimizer.adam_beta1);
    json.at("adam_beta2").get_to(optimizer.adam_beta2);
    json.at("adam_epsilon").get_to(optimizer.adam_epsilon);
    json.at("max_grad_norm").get_to(optimizer.max_grad_norm);
    json.at("eval_at").get_to(spec.eval_at);
    if (json.contains("rewards")) RewardsFrom(json.at("rewards"), &spec);
    if (!spec.full()) AdapterFrom(json, &spec.run.adapter);
  } catch (const Json::exception& e) {
    Fail(ErrorCode::kCorruptFile, "{}: {}; remove it, and the run is made again", where, e.what());
  }
  return spec;
}

std::string RunId(const RunSpec& spec) { return Hash(Deciding(spec).dump()); }

std::string ConditionKey(const RunSpec& spec) {
  Json json = Deciding(spec);
  for (const char* key : {"seed", "learning_rate"}) json.erase(key);
  return json.dump();
}

std::vector<int64_t> LogSpacedSteps(int64_t steps, int64_t points) {
  std::vector<int64_t> result = {0};
  for (int64_t i = 0; i < points; ++i) {
    const double at =
        static_cast<double>(i) / static_cast<double>(std::max<int64_t>(points - 1, 1));
    const auto step = std::llround(std::pow(static_cast<double>(steps), at));
    if (step > result.back()) result.push_back(step);
  }
  if (result.back() != steps) result.push_back(steps);
  return result;
}

}  // namespace lorikeet
