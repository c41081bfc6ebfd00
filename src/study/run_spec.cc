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

// What is not as usual with the experts.
std::string OfExperts(const RunSpec& spec) {
  std::string text;
  if (spec.expert_rank > 0) text += fmt::format(", {} in each expert", spec.expert_rank);
  if (spec.shared_outer) text += ", shared outer factors";
  return text;
}

// Keys that runs on examples do not have, so that their IDs are what they were before there were
// rewards.
Json RewardsJson(const RewardSpec& rewards) {
  return {{"task", rewards.tasks},
          {"difficulty", rewards.difficulty},
          {"objective", rewards.objective},
          {"temperature", rewards.temperature},
          {"group_size", rewards.group_size},
          {"max_tokens", rewards.max_tokens},
          {"max_prompt_tokens", rewards.max_prompt_tokens},
          {"final_steps", rewards.final_steps}};
}

RewardSpec RewardsFrom(const Json& json) {
  RewardSpec rewards;
  json.at("task").get_to(rewards.tasks);
  json.at("difficulty").get_to(rewards.difficulty);
  json.at("objective").get_to(rewards.objective);
  json.at("temperature").get_to(rewards.temperature);
  json.at("group_size").get_to(rewards.group_size);
  json.at("max_tokens").get_to(rewards.max_tokens);
  json.at("max_prompt_tokens").get_to(rewards.max_prompt_tokens);
  json.at("final_steps").get_to(rewards.final_steps);
  return rewards;
}

// What decides the numbers of a run.
Json Deciding(const RunSpec& spec) {
  Json json = ToJson(spec);
  json.erase("model");
  if (spec.rewards) json.at("rewards").erase("final_steps");
  return json;
}

}  // namespace

std::string RunSpec::MethodName() const {
  if (full) return "full";
  const bool all = target_modules == std::vector<std::string>{"all-linear"};
  return all ? fmt::format("LoRA rank {}{}", lora_r, OfExperts(*this))
             : fmt::format("LoRA rank {} on {}", lora_r, ModulesName());
}

std::string RunSpec::ModulesName() const {
  if (full) return "full";
  return fmt::format("{}{}", fmt::join(target_modules, ", "), OfExperts(*this));
}

Json ToJson(const RunSpec& spec) {
  Json json = {{"model", spec.model},
               {"model_print", spec.model_print},
               {"data_print", spec.data_print},
               {"dtype", spec.dtype},
               {"random_labels", spec.random_labels},
               {"method", spec.full ? "full" : "lora"},
               {"batch_size", spec.batch_size},
               {"steps", spec.steps},
               {"micro_batch_tokens", spec.micro_batch_tokens},
               {"seed", spec.seed},
               {"learning_rate", spec.learning_rate},
               {"lr_scheduler_type", spec.schedule},
               {"weight_decay", spec.optim.weight_decay},
               {"adam_beta1", spec.optim.beta1},
               {"adam_beta2", spec.optim.beta2},
               {"adam_epsilon", spec.optim.eps},
               {"max_grad_norm", spec.optim.max_grad_norm},
               {"eval_at", spec.eval_at}};
  if (spec.rewards) json["rewards"] = RewardsJson(*spec.rewards);
  if (spec.full) return json;
  json["lora_r"] = spec.lora_r;
  json["lora_alpha"] = spec.lora_alpha;
  json["init_a"] = spec.init_a;
  json["target_modules"] = spec.target_modules;
  json["scales_a"] = ScalesJson(spec.optim.a);
  json["scales_b"] = ScalesJson(spec.optim.b);
  // Left out where they are as usual, as they were before mixtures: IDs are hashes of this.
  if (spec.expert_rank > 0) json["expert_rank"] = spec.expert_rank;
  if (spec.shared_outer) json["shared_outer"] = true;
  return json;
}

RunSpec RunSpecFromJson(const Json& json, const std::string& where) {
  RunSpec spec;
  try {
    json.at("model").get_to(spec.model);
    json.at("model_print").get_to(spec.model_print);
    json.at("data_print").get_to(spec.data_print);
    json.at("dtype").get_to(spec.dtype);
    json.at("random_labels").get_to(spec.random_labels);
    spec.full = json.at("method") == "full";
    json.at("batch_size").get_to(spec.batch_size);
    json.at("steps").get_to(spec.steps);
    json.at("micro_batch_tokens").get_to(spec.micro_batch_tokens);
    json.at("seed").get_to(spec.seed);
    json.at("learning_rate").get_to(spec.learning_rate);
    json.at("lr_scheduler_type").get_to(spec.schedule);
    json.at("weight_decay").get_to(spec.optim.weight_decay);
    json.at("adam_beta1").get_to(spec.optim.beta1);
    json.at("adam_beta2").get_to(spec.optim.beta2);
    json.at("adam_epsilon").get_to(spec.optim.eps);
    json.at("max_grad_norm").get_to(spec.optim.max_grad_norm);
    json.at("eval_at").get_to(spec.eval_at);
    if (json.contains("rewards")) spec.rewards = RewardsFrom(json.at("rewards"));
    if (spec.full) return spec;
    json.at("lora_r").get_to(spec.lora_r);
    json.at("lora_alpha").get_to(spec.lora_alpha);
    json.at("init_a").get_to(spec.init_a);
    json.at("target_modules").get_to(spec.target_modules);
    spec.optim.a = ScalesFrom(json.at("scales_a"));
    spec.optim.b = ScalesFrom(json.at("scales_b"));
    spec.expert_rank = json.value("expert_rank", 0);
    spec.shared_outer = json.value("shared_outer", false);
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
