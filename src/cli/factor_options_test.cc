// Options of A and B through the whole of `sft`: what they do to the losses, and where they are
// refused.
#include "cli/factor_options.h"

#include <gmock/gmock.h>

#include <sstream>

#include "cli/command_testing.h"
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
  // What the run left says how it went, and a resumed run may not go otherwise.
  const std::string config = (folder_ / "scaled") + "/config.yaml";
  EXPECT_THAT(ReadFile(config), HasSubstr("loraplus_lr_ratio: 0.0625"));
  const auto resumed = [&](const Words& more) {
    Words arguments = {"--config", config, "--resume", "--max_steps", "8"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunCommand(RunSft, arguments).error;
  };
  EXPECT_THAT(resumed({"--lora_init_a_scale", "1"}), HasSubstr("lora_init_a_scale was 8.0"));
  EXPECT_THAT(resumed({"--weight_decay_b_scale", "1"}), HasSubstr("weight_decay_b_scale was 2.0"));
  EXPECT_EQ(resumed({}), "");  // what was refused has left the settings as they were
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
      HasSubstr("lora_init_a_scale is of a fresh adapter"));
  EXPECT_THAT(Run("out", {"--loraplus_lr_ratio", "0"}).error, HasSubstr("above 0"));
}

}  // namespace
}  // namespace lorikeet
