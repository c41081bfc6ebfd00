// The settings that checkpoints record: what decides numbers is in them, and an earlier version's
// are still understood.
#include "recipes/run_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "core/error.h"
#include "core/file.h"
#include "model/random_model_for_test.h"
#include "recipes/prepare.h"
#include "train/run_settings.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;

using RunOf = Run;  // tests have a Run() of their own

constexpr Architecture kTiny = {.model_type = "llama",
                                .hidden = 16,
                                .heads = 2,
                                .kv_heads = 2,
                                .head_dim = 8,
                                .intermediate = 16,
                                .layers = 1,
                                .vocab = 32,
                                .tied = true,
                                .biases = false};

std::vector<Example> SomeExamples() {
  Example example;
  example.tokens = {1, 2, 3};
  example.target_tokens = {2, 3, 4};
  example.weights = {0, 1, 1};
  return {example, example};
}

std::string DifferenceOf(const Json& saved, const Json& here) {
  try {
    RequireSameSettings(saved, here, "checkpoint-2");
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos);
    return e.what();
  }
  return "";
}

class RunSettings : public ::testing::Test {
 protected:
  Json Of(RunOf run, const std::vector<Example>& train) const {
    const std::unique_ptr<Model> model = Model::Load(files_.path(), DType::kF32);
    TrainingShape shape = ShapeOf(run, model->compute());
    const auto training = MakeRun(*model, MakeAdapter(*model, {}, &run, &shape), shape);
    return SettingsOf(*training, train, run, 7);
  }
  Json Of(const RunOf& run) const { return Of(run, SomeExamples()); }

  RandomModel files_{kTiny, "run_settings"};
};

TEST_F(RunSettings, OfExamplesTellRunsApart) {
  RunOf run;
  run.adapter.lora_r = 2;
  run.steps.max_steps = 7;
  run.steps.micro_batch_tokens = 64;
  run.optimizer.learning_rate = 5e-3;
  const Json saved = Of(run);
  EXPECT_EQ(DifferenceOf(saved, saved), "");
  const auto refused = [&](const std::function<void(RunOf&)>& change, const std::string& error) {
    RunOf other = run;
    change(other);
    EXPECT_THAT(DifferenceOf(saved, Of(other)), HasSubstr(error));
  };
  refused([](RunOf& r) { r.optimizer.learning_rate = 1e-4; },
          "learning_rate was 0.005 and is 0.0001 now");
  refused([](RunOf& r) { r.steps.seed = 1; }, "seed was 42 and is 1 now");
  refused([](RunOf& r) { r.steps.batch_size = 3; }, "batch_size was 16 and is 3 now");
  refused([](RunOf& r) { r.steps.shuffle = false; }, "shuffle was true");
  refused([](RunOf& r) { r.steps.micro_batch_tokens = 65; }, "micro_batch_tokens was 64");
  refused([](RunOf& r) { r.adapter.method = "full"; }, "method was \"lora\"");
  refused([](RunOf& r) { r.adapter.lora_r = 3; }, "lora_r was 2");
  refused([](RunOf& r) { r.adapter.lora_alpha = 3; }, "lora_alpha was 32.0");
  refused([](RunOf& r) { r.adapter.use_rslora = true; }, "use_rslora was false and is true now");
  refused([](RunOf& r) { r.adapter.target_modules = {"attention"}; }, "target_modules was ");
  refused([](RunOf& r) { r.adapter.b.learning_rate = 4; }, "loraplus_lr_ratio was not set");
  refused([](RunOf& r) { r.optimizer.lr_scheduler_type = "cosine"; }, "lr_scheduler_type was ");
  refused([](RunOf& r) { r.optimizer.warmup_ratio = 0.5; }, "warmup_steps was 0 and is 4 now");
  refused([](RunOf& r) { r.optimizer.max_grad_norm = 0; }, "max_grad_norm was 1.0");
  refused([](RunOf& r) { r.objective = Pretrain(); }, "decay_matrices_only was not set");
  std::vector<Example> others = SomeExamples();
  others[1].weights[1] = 0;
  EXPECT_THAT(DifferenceOf(saved, Of(run, others)), HasSubstr("data is not what it was"));
  Architecture wide = kTiny;
  wide.hidden = 24;
  const RandomModel wider(wide, "wider");
  const auto model = Model::Load(wider.path(), DType::kF32);
  TrainingShape shape = ShapeOf(run, DType::kF32);
  const auto training = MakeRun(*model, MakeAdapter(*model, {}, &run, &shape), shape);
  EXPECT_THAT(DifferenceOf(saved, SettingsOf(*training, SomeExamples(), run, 7)),
              HasSubstr("model is not what it was"));
}

TEST_F(RunSettings, WhatChangesNoNumberMayBeOther) {
  RunOf run;
  run.optimizer.learning_rate = 1e-3;
  const Json saved = Of(run);
  run.optimizer.lr_scheduler_type = "constant_with_warmup";  // and no warm-up
  run.steps.max_steps = 9;
  run.steps.recompute = "block";
  std::get<Sft>(run.objective).rendering.max_length = 99;  // the data's fingerprint tells
  EXPECT_EQ(DifferenceOf(saved, Of(run)), "");
}

RunOf RlRun() {
  RunOf run;
  run.adapter.lora_r = 1;
  run.steps.max_steps = 4;
  run.optimizer.learning_rate = 5e-2;
  run.objective = Rl();
  return run;
}

TEST(RlRunSettings, TellRunsApart) {
  const Json saved = RlCommandSettingsOf(RlRun());
  EXPECT_EQ(DifferenceOf(saved, saved), "");
  const auto refused = [&](const std::string& key, const std::function<void(RunOf&, Rl&)>& change) {
    RunOf other = RlRun();
    change(other, *other.rl());
    EXPECT_THAT(DifferenceOf(saved, RlCommandSettingsOf(other)), HasSubstr(": " + key + " was "));
  };
  refused("objective",
          [](RunOf&, Rl& rl) { rl.objective = "ppo", rl.clip_low = rl.clip_high = 0; });
  refused("clip_low", [](RunOf&, Rl& rl) { rl.clip_low = 0.5; });
  refused("clip_high", [](RunOf&, Rl& rl) { rl.clip_high = 0.5; });
  refused("kl_coef", [](RunOf&, Rl& rl) { rl.kl_coef = 0.5; });
  refused("temperature", [](RunOf&, Rl& rl) { rl.temperature = 0.5; });
  refused("minibatches", [](RunOf&, Rl& rl) { rl.minibatches = 2; });
  refused("updates_per_batch", [](RunOf&, Rl& rl) { rl.updates_per_batch = 2; });
  refused("target_kl", [](RunOf&, Rl& rl) { rl.target_kl = 0.5; });
  refused("max_grad_norm", [](RunOf& run, Rl&) { run.optimizer.max_grad_norm = 0.5; });
  refused("overlong_buffer", [](RunOf&, Rl& rl) { rl.overlong_buffer = 2; });
  refused("max_rounds", [](RunOf&, Rl& rl) { rl.max_rounds = 2; });
  refused("max_prompt_tokens", [](RunOf&, Rl& rl) { rl.max_prompt_tokens = 99; });
  refused("groups_per_step", [](RunOf& run, Rl&) { run.steps.batch_size = 2; });
  refused("group_size", [](RunOf&, Rl& rl) { rl.group_size = 2; });
  refused("max_tokens", [](RunOf&, Rl& rl) { rl.max_tokens = 5; });
  refused("seed", [](RunOf& run, Rl&) { run.steps.seed = 1; });
  refused("learning_rate", [](RunOf& run, Rl&) { run.optimizer.learning_rate = 1e-3; });
  refused("task", [](RunOf&, Rl& rl) { rl.task = {"other"}; });
  refused("stop", [](RunOf&, Rl& rl) { rl.stop = {"."}; });
  refused("lora_r", [](RunOf& run, Rl&) { run.adapter.lora_r = 2; });
  // Options that earlier versions did not have here.
  refused("use_rslora", [](RunOf& run, Rl&) { run.adapter.use_rslora = true; });
  refused("adam_beta2", [](RunOf& run, Rl&) { run.optimizer.adam_beta2 = 0.5; });
  refused("loraplus_lr_ratio", [](RunOf& run, Rl&) { run.adapter.b.learning_rate = 2; });
  refused("date", [](RunOf&, Rl& rl) { rl.rendering.date = "2024-02-29"; });
  refused("chat_template_kwargs", [](RunOf&, Rl& rl) { rl.rendering.chat_template_kwargs = "{}"; });
  RunOf same = RlRun();  // options that change no number
  same.steps.max_steps = 9;
  same.steps.recompute = "block";
  same.rl()->base_kl_steps = 3;
  EXPECT_EQ(DifferenceOf(saved, RlCommandSettingsOf(same)), "");
}

}  // namespace
}  // namespace lorikeet
