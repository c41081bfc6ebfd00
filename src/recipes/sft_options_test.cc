#include "recipes/sft_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "options/args.h"

namespace lorikeet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

SftOptions FromYaml(const std::string& yaml) {
  SftOptions options;
  SetDefaults(options);
  ApplyYaml(OptionTable(options), yaml, "run.yaml");
  return options;
}

std::string ErrorOf(const std::string& yaml) {
  try {
    FromYaml(yaml);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(SftOptions, DefaultsAreTheArticlesRecipe) {
  const SftOptions options = FromYaml("");
  EXPECT_EQ(options.run.adapter.method, "lora");
  EXPECT_EQ(options.run.adapter.lora_r, 32);
  EXPECT_EQ(options.run.adapter.lora_alpha, 32);
  EXPECT_THAT(options.run.adapter.target_modules, ElementsAre("all-linear"));
  EXPECT_EQ(options.run.optimizer.lr_scheduler_type, "constant");
  EXPECT_EQ(options.run.optimizer.warmup_steps, 0);
  EXPECT_EQ(options.run.optimizer.learning_rate, std::nullopt);
  EXPECT_EQ(options.run.steps.num_train_epochs, 1);
}

TEST(SftOptions, RecomputeIsNamedAsTheOthersCallIt) {
  EXPECT_EQ(FromYaml("").run.steps.recompute, "auto");
  EXPECT_EQ(FromYaml("recompute: block\n").run.steps.recompute, "block");
  EXPECT_THAT(ErrorOf("gradient_checkpointing: true\n"),
              HasSubstr("write recompute: block, none or auto"));
  EXPECT_THAT(ErrorOf("recompute: true\n"), HasSubstr("none, auto, block"));
}

TEST(SftOptions, NeutralValuesOfOtherTrainers) {
  const SftOptions options = FromYaml(
      "model: MODEL\ndata: DATA\noutput_dir: out\nlora_dropout: 0\nuse_rslora: false\nuse_dora: "
      "false\nmodules_to_save: null\noptim: adamw_torch\npacking: true\nbf16: "
      "false\ngradient_accumulation_steps: 1\ngradient_checkpointing: false\nmax_steps: -1\n");
  const SftOptions plain = FromYaml("model: MODEL\ndata: DATA\noutput_dir: out\n");
  SftOptions a = options, b = plain;
  EXPECT_EQ(ToYaml(OptionTable(a)), ToYaml(OptionTable(b)));
  EXPECT_THAT(ErrorOf("lora_dropout: 0.05\n"), HasSubstr("adapters train without dropout"));
  EXPECT_THAT(ErrorOf("use_dora: true\n"), HasSubstr("new adapters are plain LoRA"));
  EXPECT_THAT(ErrorOf("modules_to_save: [lm_head]\n"), HasSubstr("low-rank factors only"));
  EXPECT_THAT(ErrorOf("optim: adamw_8bit\n"), HasSubstr("AdamW is the optimizer"));
  EXPECT_THAT(ErrorOf("bf16: true\n"), HasSubstr("write dtype: bf16"));
  EXPECT_THAT(ErrorOf("deepspeed: zero3.json\n"), HasSubstr("CPU's cores"));
}

TEST(SftOptions, FilesOfOtherTrainersAreUnderstood) {
  const SftOptions trl = FromYaml(
      "model_name_or_path: m\ndataset_name: d.jsonl\nlearning_rate: 2e-4\nlora_r: "
      "16\nlora_target_modules: [q_proj]\n"
      "max_length: 1024\nassistant_only_loss: true\nlr_scheduler_type: cosine\nwarmup_ratio: "
      "0.03\noutput_dir: o\n");
  EXPECT_EQ(trl.run.optimizer.learning_rate, 2e-4);
  EXPECT_THAT(trl.run.adapter.target_modules, ElementsAre("q_proj"));
  const SftOptions axolotl =
      FromYaml("base_model: m\nsequence_len: 512\nlora_r: 8\nnum_epochs: 2\nval_set_size: 0.05\n");
  EXPECT_EQ(std::get<Sft>(axolotl.run.objective).rendering.max_length, 512);
  EXPECT_EQ(axolotl.eval_split, 0.05);
  const SftOptions factory =
      FromYaml("finetuning_type: full\ncutoff_len: 256\nlora_rank: 4\nlora_target: mlp\n");
  EXPECT_EQ(factory.run.adapter.method, "full");
  EXPECT_EQ(factory.run.adapter.lora_r, 4);
  const SftOptions mlx = FromYaml(
      "model: m\ndata: d\niters: 50\nmax_seq_length: 99\nsteps_per_eval: 5\nbatch_size: 4\n");
  EXPECT_EQ(mlx.run.steps.max_steps, 50);
  EXPECT_EQ(mlx.output.eval_steps, 5);
}

TEST(SftOptions, KeysThatMeanSomethingElseAreRefusedWithAdvice) {
  EXPECT_THAT(ErrorOf("gradient_accumulation_steps: 8"),
              HasSubstr("run.yaml:1: 'gradient_accumulation_steps' is not"));
  EXPECT_THAT(ErrorOf("scale: 20"), HasSubstr("lora_alpha = scale * lora_r"));
  EXPECT_THAT(ErrorOf("train_on_inputs: true"), HasSubstr("assistant_only_loss: false"));
  EXPECT_THAT(ErrorOf("packing_strategy: wrapped"), HasSubstr("always packed"));
  EXPECT_THAT(ErrorOf("load_in_4bit: true"), HasSubstr("GGUF"));
}

TEST(SftOptions, TheResolvedFileReadsBack) {
  SftOptions options = FromYaml("model: m\ndata: [a, b]\noutput_dir: o\nlearning_rate: 1e-5\n");
  const OptionTable table(options);
  SftOptions again = FromYaml(ToYaml(table));
  EXPECT_EQ(ToJson(OptionTable(again)).dump(), ToJson(table).dump());
}

}  // namespace
}  // namespace lorikeet
