#include "study/run_spec.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "study/study_for_test.h"

namespace lorikeet {
namespace {

// run.json of a study that was made before runs could learn from rewards.
constexpr const char* kOldRun =
    R"({"adam_beta1":0.9,"adam_beta2":0.999,"adam_epsilon":1e-08,"batch_size":16,
"data_print":"b928f299e0545fc4-c4f4b8229472f17c","dtype":"bf16",
"eval_at":[0,1,2,4,7,13,24,30,45,84,159,300],"init_a":1.0,"learning_rate":0.00215,
"lora_alpha":32.0,"lora_r":2,"lr_scheduler_type":"constant","max_grad_norm":1.0,"method":"lora",
"micro_batch_tokens":2048,"model":"anywhere","model_print":"2bf18d91dfa34098","random_labels":0,
"scales_a":[1.0,1.0,1.0],"scales_b":[1.0,1.0,1.0],"seed":1,"steps":300,
"target_modules":["all-linear"],"weight_decay":0.0})";

TEST(RunSpec, FinishedRunsKeepTheirIds) {
  const RunSpec spec = RunSpecFromJson(ParseJson(kOldRun, "run.json"), "run.json");
  EXPECT_EQ(RunId(spec), "ec86308e737bf28b");
  EXPECT_EQ(spec.rewards(), nullptr);
}

RunSpec WithRewards() {
  RunSpec spec = MakeSpec(false, 1, 1e-4, 1);
  Rl& rewards = spec.run.objective.emplace<Rl>();
  rewards.task = {"add", "json"};
  rewards.difficulty = 2;
  rewards.objective = "grpo";
  rewards.temperature = 0.5;
  rewards.group_size = 4;
  rewards.max_tokens = 20;
  rewards.max_prompt_tokens = 100;
  spec.final_steps = 7;
  return spec;
}

TEST(RunSpec, RewardsSurviveTheFile) {
  const RunSpec spec = WithRewards();
  const RunSpec read = RunSpecFromJson(ToJson(spec), "run.json");
  EXPECT_EQ(ToJson(read), ToJson(spec));
  ASSERT_NE(read.rewards(), nullptr);
  EXPECT_EQ(read.rewards()->task, spec.rewards()->task);
  EXPECT_EQ(read.final_steps, 7);
}

TEST(RunSpec, AllThatDecidesARunWithRewardsIsInItsId) {
  const std::vector<std::function<void(Rl&)>> changes = {
      [](Rl& r) { r.task = {"add"}; },
      [](Rl& r) { r.difficulty = 3; },
      [](Rl& r) { r.objective = "rloo"; },
      [](Rl& r) { r.temperature = 1; },
      [](Rl& r) { r.group_size = 8; },
      [](Rl& r) { r.max_tokens = 21; },
      [](Rl& r) { r.max_prompt_tokens = std::nullopt; },
  };
  std::set<std::string> ids = {RunId(WithRewards()), RunId(MakeSpec(false, 1, 1e-4, 1))};
  for (const auto& change : changes) {
    RunSpec spec = WithRewards();
    change(*spec.rewards());
    ids.insert(RunId(spec));
  }
  EXPECT_EQ(ids.size(), changes.size() + 2);
}

TEST(RunSpec, HowARunIsJudgedIsNotInItsId) {
  RunSpec spec = WithRewards();
  spec.final_steps = 3;
  EXPECT_EQ(RunId(spec), RunId(WithRewards()));
  EXPECT_EQ(ConditionKey(spec), ConditionKey(WithRewards()));
}

}  // namespace
}  // namespace lorikeet
