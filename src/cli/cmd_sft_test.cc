// `sft` from the shell, on a tiny model: separate factors for A and B, adapters to start from,
// regular expressions as targets, rsLoRA, and checkpoints of earlier versions.
#include <gmock/gmock.h>

#include <sstream>

#include "cli/command_for_test.h"
#include "cli/commands.h"
#include "core/file.h"
#include "core/threads_scope_for_test.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;

using Words = std::vector<std::string>;

class FactorsOfSft : public ::testing::Test {
 protected:
  FactorsOfSft() {
    std::string rows;
    for (int i = 0; i < 6; ++i) {
      Json row;
      for (int t = 0; t < 9; ++t) row["tokens"].push_back((7 * i * i + 11 * t) % 90);
      rows += row.dump() + "\n";
    }
    WriteFileAtomically(folder_ / "data.jsonl", rows);
  }

  CommandOutcome Run(const std::string& out, const Words& more) const {
    Words arguments = {GoldenModel("llama"),
                       "--data",
                       folder_ / "data.jsonl",
                       "--output_dir",
                       folder_ / out,
                       "--dtype",
                       "f32",
                       "--batch_size",
                       "2",
                       "--max_steps",
                       "6",
                       "--lora_r",
                       "4",
                       "--adam_epsilon",
                       "1e-4",
                       "--weight_decay",
                       "0.1",
                       "--max_grad_norm",
                       "0",
                       "--report_to",
                       "none",
                       "--quiet"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunCommand(RunSft, arguments);
  }
  std::vector<double> Losses(const std::string& out, const Words& more) const {
    EXPECT_EQ(Run(out, more).error, "");
    std::istringstream text(ReadFile((folder_ / out) + "/metrics.jsonl"));
    std::vector<double> losses;
    for (std::string line; std::getline(text, line);) {
      const Json json = ParseJson(line, "metrics.jsonl");
      if (json.contains("loss")) losses.push_back(json.at("loss"));
    }
    return losses;
  }

  const ThreadsScope threads_{1};
  const TemporaryFolder folder_{"factors"};
};

// "LoRA Without Regret": alpha / (p q), A's first values and rate times p, B's rate times q; eps
// and decay, which the article leaves out, over p and q. Here p = 8 and q = 1/2.
TEST_F(FactorsOfSft, ScalesThatCancelLeaveTheLossesAsTheyAre) {
  const auto base = Losses("base", {"--lora_alpha", "32", "--learning_rate", "0.005"});
  const Words scaled = {"--lora_alpha",           "8",     "--learning_rate",        "0.04",
                        "--lora_init_a_scale",    "8",     "--loraplus_lr_ratio",    "0.0625",
                        "--adam_epsilon_a_scale", "0.125", "--adam_epsilon_b_scale", "2",
                        "--weight_decay_a_scale", "0.125", "--weight_decay_b_scale", "2"};
  ASSERT_EQ(base.size(), 6);
  EXPECT_EQ(Losses("scaled", scaled), base);
  // config.yaml records the scales, and a resumed run with other scales is refused.
  const std::string config = (folder_ / "scaled") + "/config.yaml";
  EXPECT_THAT(ReadFile(config), HasSubstr("loraplus_lr_ratio: 0.0625"));
  const auto resumed = [&](const Words& more) {
    Words arguments = {"--config", config, "--resume", "--max_steps", "8"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunCommand(RunSft, arguments).error;
  };
  EXPECT_THAT(resumed({"--lora_init_a_scale", "1"}), HasSubstr("lora_init_a_scale was 8.0"));
  EXPECT_THAT(resumed({"--weight_decay_b_scale", "1"}), HasSubstr("weight_decay_b_scale was 2.0"));
  EXPECT_EQ(resumed({}), "");  // refused commands did not change the settings
}

TEST_F(FactorsOfSft, ThePlanSaysThemAndOnlyThem) {
  const std::string plan =
      Run("out", {"--dry_run", "--loraplus_lr_ratio", "16", "--adam_epsilon_b_scale", "0.5"}).out;
  EXPECT_THAT(plan, HasSubstr("A and B apart: loraplus_lr_ratio 16, adam_epsilon_b_scale 0.5\n"));
}

TEST_F(FactorsOfSft, AreRefusedWhereThereAreNone) {
  EXPECT_THAT(Run("out", {"--method", "full", "--loraplus_lr_ratio", "4"}).error,
              HasSubstr("method full has no adapter for loraplus_lr_ratio 4"));
  EXPECT_THAT(
      Run("out", {"--adapter", GoldenModel("llama") + "/adapter", "--lora_init_a_scale", "4"})
          .error,
      HasSubstr("lora_init_a_scale is for a new adapter"));
  EXPECT_THAT(Run("out", {"--loraplus_lr_ratio", "0"}).error, HasSubstr("above 0"));
}

class SftCommand : public ::testing::Test {
 protected:
  SftCommand() {
    std::string rows;
    for (int i = 0; i < 6; ++i) {
      Json row;
      for (int t = 0; t < 9; ++t) row["tokens"].push_back((7 * i * i + 11 * t) % 90);
      rows += row.dump() + "\n";
    }
    WriteFileAtomically(Data(), rows);
  }
  std::string Data() const { return folder_ / "data.jsonl"; }
  // A run of 4 steps of the tiny llama into the folder `out`, with `more`.
  CommandOutcome Run(const std::string& out, const Words& more,
                     const std::string& model = GoldenModel("llama")) const {
    Words arguments = {model,    "--data",       Data(),       "--dtype",
                       "f32",    "--batch_size", "2",          "--max_steps",
                       "4",      "--report_to",  "none",       "--quiet",
                       "--json", "--output_dir", folder_ / out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunCommand(RunSft, arguments);
  }
  std::string Weights(const std::string& out) const {
    return ReadFile(folder_ / (out + "/adapter_model.safetensors"));
  }
  Json AdapterConfig(const std::string& out) const {
    const std::string path = folder_ / (out + "/adapter_config.json");
    return ParseJson(ReadFile(path), path);
  }
  // mean loss of the data with the adapter in the folder
  double Loss(const std::string& adapter, const std::string& model = GoldenModel("llama")) const {
    const CommandOutcome outcome =
        RunCommand(RunEval, {model, "--adapter", adapter, "--data", Data(), "--dtype", "f32",
                             "--json", "--train_on", "all"});
    EXPECT_EQ(outcome.error, "");
    return outcome.Json()["nll"];
  }

  const ThreadsScope threads_{1};
  const TemporaryFolder folder_{"sft"};
};

// A rate so small changes no f32, so the written weights are the initial ones.
const Words kStandingStill = {"--learning_rate", "1e-30"};

TEST_F(SftCommand, StartsFromTheBitsOfAnAdapterWithAnyTargets) {
  for (const std::string family : {"llama", "qwen3_moe"}) {
    const std::string model = GoldenModel(family), first = family + "_first";
    const Words rank = {"--lora_r",        "4",    "--lora_alpha",     "12",
                        "--learning_rate", "1e-2", "--target_modules", ".*[.]1[.].*(q|down)_proj"};
    ASSERT_EQ(Run(first, rank, model).error, "");
    Words further = kStandingStill;
    further.insert(further.end(), {"--adapter", folder_ / first, "--eval_data", Data()});
    const CommandOutcome outcome = Run(family + "_second", further, model);
    ASSERT_EQ(outcome.error, "");
    EXPECT_TRUE(Weights(family + "_second") == Weights(first)) << family;
    for (const char* key : {"r", "lora_alpha", "use_rslora", "rank_pattern"}) {
      EXPECT_EQ(AdapterConfig(family + "_second")[key], AdapterConfig(first)[key]) << key;
    }
    EXPECT_EQ(outcome.Json()["heldout_nll_before"], Loss(folder_ / first, model));
    // The run's config.yaml records what it trained, and resumes it.
    const std::string config = folder_ / (family + "_second/config.yaml");
    EXPECT_THAT(ReadFile(config), HasSubstr("lora_alpha: 12\n"));
    EXPECT_EQ(RunCommand(RunSft, {"--config", config, "--resume", "--max_steps", "6"}).error, "");
  }
}

TEST_F(SftCommand, ARunFromAnAdapterResumesBitForBit) {
  const std::string adapter = GoldenModel("llama") + "/adapter";
  const Words whole = {"--adapter", adapter, "--save_steps", "2", "--learning_rate", "1e-2"};
  ASSERT_EQ(Run("whole", whole).error, "");
  ASSERT_EQ(Run("rest", {"--adapter", adapter, "--learning_rate", "1e-2",
                         "--resume_from_checkpoint", folder_ / "whole/checkpoint-2"})
                .error,
            "");
  EXPECT_TRUE(Weights("rest") == Weights("whole"));
}

TEST_F(SftCommand, WhatContradictsTheAdapterIsRefusedNamingBoth) {
  const std::string adapter = GoldenModel("llama") + "/adapter";  // r 4, alpha 8, not rsLoRA
  const auto refused = [&](Words more) {
    more.insert(more.end(), {"--adapter", adapter});
    const CommandOutcome outcome = Run("out", more);
    EXPECT_EQ(outcome.error.find('\n'), std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
    return outcome.error;
  };
  // 32 is the default, and asked for all the same.
  EXPECT_THAT(refused({"--lora_r", "32"}), HasSubstr("lora_r is 32, and the adapter " + adapter +
                                                     " has 4; give the same or leave lora_r out"));
  EXPECT_THAT(refused({"--set", "lora_r=32"}), HasSubstr("lora_r is 32"));
  EXPECT_THAT(refused({"--lora_alpha", "16"}), HasSubstr("lora_alpha is 16, and the adapter"));
  EXPECT_THAT(refused({"--use_rslora"}), HasSubstr("use_rslora is true, and the adapter"));
  EXPECT_THAT(refused({"--target_modules", "attention"}),
              HasSubstr("target_modules is attention, and the adapter"));
  EXPECT_THAT(refused({"--method", "full"}), HasSubstr("merge the adapter"));
  const std::string yaml = folder_ / "run.yaml";
  WriteFileAtomically(yaml, "lora_r: 8\n");
  EXPECT_THAT(refused({"--config", yaml}), HasSubstr("lora_r is 8"));
  // An earlier version wrote the default into config.yaml, whatever the adapter had.
  WriteFileAtomically(yaml, "lora_r: 32\nlora_alpha: 32\ntarget_modules: [all-linear]\n");
  EXPECT_EQ(Run("config", {"--adapter", adapter, "--config", yaml, "--dry_run"}).error, "");
  EXPECT_EQ(
      Run("same", {"--adapter", adapter, "--lora_r", "4", "--lora_alpha", "8", "--dry_run"}).error,
      "");
}

// alpha / sqrt(r) is 16 / 2, as alpha / r is 32 / 4.
TEST_F(SftCommand, RsloraIsAnotherScaleAndRecorded) {
  const Words rate = {"--lora_r", "4", "--learning_rate", "1e-2"};
  Words plain = rate, stable = rate;
  plain.insert(plain.end(), {"--lora_alpha", "32"});
  stable.insert(stable.end(), {"--lora_alpha", "16", "--use_rslora"});
  ASSERT_EQ(Run("plain", plain).error, "");
  ASSERT_EQ(Run("stable", stable).error, "");
  EXPECT_TRUE(Weights("stable") == Weights("plain"));
  EXPECT_EQ(AdapterConfig("stable")["use_rslora"], true);
  EXPECT_EQ(AdapterConfig("stable")["lora_alpha"], 16);
  EXPECT_EQ(Loss(folder_ / "stable"), Loss(folder_ / "plain"));
  stable.pop_back();
  stable.insert(stable.end(), {"--resume", "--max_steps", "6"});
  EXPECT_THAT(Run("stable", stable).error, HasSubstr("use_rslora was true and is false now"));
  const std::string config = folder_ / "stable/config.yaml";
  EXPECT_EQ(RunCommand(RunSft, {"--config", config, "--resume", "--max_steps", "6"}).error, "");
  // The scale costs nothing.
  const auto estimate = [](Words more) {
    more.insert(more.begin(), {GoldenModel("llama") + "/config.json", "--peak_gflops", "100",
                               "--json", "--lora_r", "4"});
    return RunCommand(RunEstimate, more).Json()["lora"];
  };
  OrderedJson with = estimate({"--use_rslora"}), without = estimate({});
  EXPECT_NE(with["learning_rate"], without["learning_rate"]);
  for (OrderedJson* json : {&with, &without}) {
    json->erase("learning_rate");
    json->erase("learning_rate_reason");
  }
  EXPECT_EQ(with, without);
}

TEST_F(SftCommand, RegularExpressionsAreTargetsInEveryCommand) {
  const auto of = [&](int (*command)(int, char**), Words arguments, const std::string& targets) {
    arguments.insert(arguments.end(), {"--target_modules", targets, "--json"});
    const CommandOutcome outcome = RunCommand(command, arguments);
    EXPECT_EQ(outcome.error, "");
    return outcome.Json();
  };
  const Words bench = {
      "train", GoldenModel("llama"), "--tokens", "16", "--max_length", "8", "--steps",
      "1",     "--warmup",           "0"};
  const Words estimate = {GoldenModel("llama") + "/config.json", "--peak_gflops", "100"};
  const std::string names = "q_proj,v_proj", regex = ".*[.](q|v)_proj";
  EXPECT_EQ(of(RunBench, bench, regex)["trainable_parameters"],
            of(RunBench, bench, names)["trainable_parameters"]);
  EXPECT_EQ(of(RunEstimate, estimate, regex)["lora"]["memory_bytes"],
            of(RunEstimate, estimate, names)["lora"]["memory_bytes"]);
  // An expression for all layers beside a name; then one for a single layer, which costs less.
  EXPECT_EQ(of(RunEstimate, estimate, ".*[.][01][.].*q_proj,v_proj")["lora"]["memory_bytes"],
            of(RunEstimate, estimate, names)["lora"]["memory_bytes"]);
  EXPECT_LT(of(RunEstimate, estimate, ".*[.]1[.].*q_proj,v_proj")["lora"]["memory_bytes"],
            of(RunEstimate, estimate, names)["lora"]["memory_bytes"]);
  const CommandOutcome none = RunCommand(
      RunEstimate, {GoldenModel("llama") + "/config.json", "--target_modules", ".*knee.*"});
  EXPECT_THAT(none.error, HasSubstr("'.*knee.*' matches no module"));
  ASSERT_EQ(Run("two", {"--target_modules", ".*[.]1[.].*q_proj,lm_head", "--lora_r", "1"}).error,
            "");
  EXPECT_EQ(AdapterConfig("two")["target_modules"],
            Json({"model.layers.1.self_attn.q_proj", "lm_head"}));
}

// Written by version 0.1.0 (b2bfe19); its data and the rest of its settings are in config.yaml.
TEST_F(SftCommand, CheckpointsOfEarlierVersionsResume) {
  const std::string golden = std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/checkpoint/sft";
  std::filesystem::copy(golden, folder_ / "old", std::filesystem::copy_options::recursive);
  const std::string checkpoint = folder_ / "old/checkpoint-2";
  const CommandOutcome outcome =
      RunCommand(RunSft, {"--config", checkpoint + "/config.yaml", "--model", GoldenModel("llama"),
                          "--data", golden + "/data.jsonl", "--output_dir", folder_ / "old",
                          "--resume", "--max_steps", "4", "--json"});
  ASSERT_EQ(outcome.error, "");
  EXPECT_EQ(outcome.Json()["steps"], 4);
  EXPECT_EQ(outcome.Json()["steps_in_this_process"], 2);
  const CommandOutcome other =
      RunCommand(RunSft, {"--config", checkpoint + "/config.yaml", "--model", GoldenModel("llama"),
                          "--data", golden + "/data.jsonl", "--output_dir", folder_ / "old",
                          "--resume_from_checkpoint", checkpoint, "--lora_r", "2"});
  EXPECT_THAT(other.error, HasSubstr("lora_r was 1 and is 2 now"));
}

}  // namespace
}  // namespace lorikeet
