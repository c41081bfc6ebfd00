// Tests of convert and merge on the tiny models: their output is correct, bit for bit where there
// is no arithmetic, and existing files are not lost.
#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "checkpoint/gguf_golden_for_test.h"
#include "checkpoint/safetensors.h"
#include "cli/command_for_test.h"
#include "cli/commands.h"
#include "cli/merge_verify.h"
#include "core/arena.h"
#include "core/file.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;

class ConvertGguf : public ::testing::TestWithParam<std::string> {};

TEST_P(ConvertGguf, WritesTheSameValues) {
  const TemporaryFolder tmp;
  const std::string stem = GgufGolden("tiny_" + GetParam());
  const CommandOutcome outcome =
      RunCommand(RunConvert, {stem + ".gguf", tmp / "out", "--dtype", "f32", "--json"});
  ASSERT_EQ(outcome.error, "");
  const auto expected = OpenSafetensors(stem + ".safetensors");
  const auto written = OpenSafetensors(tmp / "out");
  ASSERT_EQ(written->tensors().size(), expected->tensors().size());
  EXPECT_EQ(outcome.Json()["tensors"], expected->tensors().size());
  int64_t parameters = 0;
  for (const auto& [name, tensor] : expected->tensors()) {
    const Tensor got = written->Find(name);
    ASSERT_TRUE(got) << name;
    ASSERT_EQ(got.bytes(), tensor.bytes());
    EXPECT_EQ(std::memcmp(got.data, tensor.data, static_cast<size_t>(got.bytes())), 0) << name;
    parameters += got.size();
  }
  EXPECT_EQ(outcome.Json()["parameters"], parameters);
  // The folder is a valid model.
  EXPECT_EQ(ModelSource::Open(tmp / "out").config()["torch_dtype"], "float32");
}
INSTANTIATE_TEST_SUITE_P(Families, ConvertGguf, ::testing::ValuesIn(GgufGoldenArchitectures()));

TEST(Convert, AnotherDtypeIsRoundedOnceAndTextFilesAreCopied) {
  const TemporaryFolder tmp;
  std::filesystem::copy(GoldenModel("llama"), tmp / "in");
  WriteFileAtomically(tmp / "in/tokenizer.json", R"({"any": "bytes"})");
  WriteFileAtomically(tmp / "in/chat_template.jinja", "{{ x }}");
  ASSERT_EQ(RunCommand(RunConvert, {tmp / "in", tmp / "out", "--dtype", "bf16"}).error, "");
  EXPECT_EQ(ReadFile(tmp / "out/tokenizer.json"), R"({"any": "bytes"})");
  EXPECT_EQ(ReadFile(tmp / "out/chat_template.jinja"), "{{ x }}");
  const auto exact = OpenSafetensors(tmp / "in"), rounded = OpenSafetensors(tmp / "out");
  for (const auto& [name, tensor] : exact->tensors()) {
    const Tensor got = rounded->Find(name);
    ASSERT_EQ(got.dtype, DType::kBF16);
    for (int64_t i = 0; i < got.size(); ++i) {
      ASSERT_EQ(got.as<bfloat16>()[i].bits, ToBfloat16(tensor.as<float>()[i]).bits) << name;
    }
  }
}

TEST(Convert, NothingThatStandsThereIsLost) {
  const TemporaryFolder tmp;
  const std::string model = GoldenModel("llama");
  std::filesystem::create_directories(tmp / "notes");
  WriteFileAtomically(tmp / "notes/diary.txt", "dear diary");
  const auto error = [&](const std::vector<std::string>& arguments) {
    return RunCommand(RunConvert, arguments).error;
  };
  EXPECT_THAT(error({model, tmp / "notes"}), HasSubstr("exists already"));
  EXPECT_THAT(error({model, tmp / "notes", "--overwrite"}), HasSubstr("no config.json"));
  EXPECT_EQ(ReadFile(tmp / "notes/diary.txt"), "dear diary");
  std::filesystem::copy(model, tmp / "in");
  EXPECT_THAT(error({tmp / "in", tmp / "in", "--overwrite"}), HasSubstr("would be lost"));
  EXPECT_THAT(error({tmp / "in", tmp / "in/../in/", "--overwrite"}), HasSubstr("would be lost"));
  EXPECT_EQ(error({model, tmp / "in/", "--overwrite", "--dtype", "f16"}), "");
  EXPECT_EQ(OpenSafetensors(tmp / "in")->tensors()[0].tensor.dtype, DType::kF16);
  EXPECT_FALSE(std::filesystem::exists(tmp / "in.tmp"));
  EXPECT_THAT(error({tmp / "nowhere", tmp / "x"}), HasSubstr("nowhere"));
  EXPECT_FALSE(std::filesystem::exists(tmp / "x"));
}

TEST(Convert, UpcyclingMakesAMixtureThatIsRead) {
  const TemporaryFolder tmp;
  const std::string dense = GoldenModel("qwen3");
  const CommandOutcome outcome =
      RunCommand(RunConvert, {dense, tmp / "out", "--upcycle", "4:2", "--seed", "3", "--json"});
  ASSERT_EQ(outcome.error, "");
  const OrderedJson facts = RunCommand(RunInspect, {tmp / "out", "--json"}).Json();
  EXPECT_EQ(facts["model_type"], "qwen3_moe");
  EXPECT_EQ(facts["config"]["num_experts"], 4);
  EXPECT_EQ(facts["config"]["num_experts_per_tok"], 2);
  EXPECT_THAT(RunCommand(RunConvert, {dense, tmp / "x", "--upcycle", "2:4"}).error,
              HasSubstr("give experts:active, such as 8:2"));
  EXPECT_THAT(
      RunCommand(RunConvert, {GoldenModel("llama_bias"), tmp / "x", "--upcycle", "4:2"}).error,
      HasSubstr("attention_bias is set"));
}

class MergeFamily : public ::testing::TestWithParam<const char*> {};

TEST_P(MergeFamily, TheFolderSaysWhatBaseAndAdapterSay) {
  const TemporaryFolder tmp;
  const std::string model = GoldenModel(GetParam());
  const CommandOutcome outcome = RunCommand(
      RunMerge, {"--model", model, "--adapter", model + "/adapter", "--output-dir", tmp / "out",
                 "--dtype", "f32", "--verify", "--verify-tokens", "64", "--json"});
  ASSERT_EQ(outcome.error, "");
  EXPECT_EQ(outcome.status, 0);
  const OrderedJson verify = outcome.Json()["verify"];
  EXPECT_TRUE(verify["ok"].get<bool>());
  EXPECT_LT(verify["as_stored"]["relative_difference"].get<double>(), 1e-5);
  EXPECT_LT(verify["before_rounding"]["relative_difference"].get<double>(), 1e-5);
  EXPECT_EQ(verify["as_stored"]["same_greedy_token"].get<double>(), 1);
  // The adapter changes the logits, so the equality above is a real check.
  EXPECT_GT(verify["base_without_adapter"]["relative_difference"].get<double>(), 0.01);
}
INSTANTIATE_TEST_SUITE_P(Families, MergeFamily,
                         ::testing::Values("llama", "llama3", "llama_bias", "qwen2", "qwen3",
                                           "qwen3_moe", "mixtral", "phi3", "glm4", "starcoder2",
                                           "stablelm", "cohere2", "arcee", "ernie4_5"));

TEST(Merge, RoundingIsToldApartFromArithmetic) {
  const TemporaryFolder tmp;
  const std::string model = GoldenModel("llama");
  const CommandOutcome outcome = RunCommand(
      RunMerge,
      {model + "/adapter", tmp / "out", "--model", model, "--dtype", "bf16", "--verify", "--json"});
  ASSERT_EQ(outcome.error, "");
  const OrderedJson verify = outcome.Json()["verify"];
  EXPECT_LT(verify["before_rounding"]["relative_difference"].get<double>(), 1e-5);
  EXPECT_GT(verify["as_stored"]["relative_difference"].get<double>(), 1e-4);
  EXPECT_GT(verify["as_stored"]["mean_kl"].get<double>(), 0);
  EXPECT_EQ(verify["dtype"], "bf16");
}

TEST(Merge, AFolderThatSaysSomethingElseFails) {
  const std::string dir = GoldenModel("llama");
  const LoadInstance load = [&] { return Model::Load(dir, DType::kF32); };
  const auto base = load();
  const LoraAdapter adapter = LoraAdapter::Load(*base, dir + "/adapter");
  Batch batch;
  batch.tokens = {1, 5, 9, 12};
  batch.positions = {0, 1, 2, 3};
  batch.cu_seqlens = {0, 4};
  const auto weights_of_base = [&] {
    std::vector<const void*> weights;
    ForEachLinear(std::as_const(*base).weights(),
                  [&](const Linear& linear) { weights.push_back(linear.weight.data); });
    return weights;
  };
  const std::vector<const void*> weights = weights_of_base();
  const MergeVerification v = VerifyMerge(*base, adapter, load, load, DType::kF32, batch);
  EXPECT_FALSE(v.ok);
  EXPECT_THAT(v.verdict, HasSubstr("FAILED"));
  EXPECT_EQ(v.stored.relative, v.base.relative);
  EXPECT_LT(v.exact.relative, 1e-5);
  EXPECT_EQ(weights_of_base(), weights);  // the base does not change
}

// The head becomes a tensor of its own; the embedding keeps its bits.
TEST(Merge, ATiedHeadIsUntiedAndTheEmbeddingStays) {
  const TemporaryFolder tmp;
  const std::string dir = GoldenModel("qwen2");
  const auto model = Model::Load(dir, DType::kF32);
  ASSERT_TRUE(model->config().tie_word_embeddings);
  LoraConfig config;
  config.r = 4;
  config.target_modules = {"lm_head", "q_proj"};
  LoraAdapter adapter = LoraAdapter::Create(*model, config, 1);
  for (const LoraPair& pair : adapter.pairs()) {
    for (int64_t i = 0; i < pair.bt.size(); ++i) {
      pair.bt.as<float>()[i] = 0.01F * static_cast<float>(i % 7 - 3);
    }
  }
  adapter.Save(tmp / "adapter");
  const CommandOutcome outcome =
      RunCommand(RunMerge, {tmp / "adapter", tmp / "out", "--model", dir, "--dtype", "f32",
                            "--verify", "--verify-tokens", "64", "--json"});
  ASSERT_EQ(outcome.error, "");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.err, HasSubstr("a head of its own"));
  EXPECT_TRUE(outcome.Json()["untied_head"].get<bool>());
  const OrderedJson verify = outcome.Json()["verify"];
  EXPECT_LT(verify["as_stored"]["relative_difference"].get<double>(), 1e-5);
  EXPECT_GT(verify["base_without_adapter"]["relative_difference"].get<double>(), 0.01);
  const ModelSource written = ModelSource::Open(tmp / "out"), source = ModelSource::Open(dir);
  EXPECT_EQ(written.config()["tie_word_embeddings"], false);
  const Tensor before = source.Mapped("model.embed_tokens.weight"),
               after = written.Mapped("model.embed_tokens.weight"),
               head = written.Mapped("lm_head.weight");
  const auto bytes = static_cast<size_t>(before.bytes());
  EXPECT_EQ(std::memcmp(before.data, after.data, bytes), 0);
  EXPECT_NE(std::memcmp(before.data, head.data, bytes), 0);
}

TEST(Merge, AnAdapterOfAnotherModelIsRefused) {
  const TemporaryFolder tmp;
  const CommandOutcome outcome = RunCommand(
      RunMerge, {GoldenModel("llama") + "/adapter", tmp / "out", "--model", GoldenModel("qwen2")});
  EXPECT_NE(outcome.status, 0);
  EXPECT_THAT(outcome.error, HasSubstr("another model"));
  EXPECT_FALSE(std::filesystem::exists(tmp / "out"));
}

// Files beside the weights come along; weights of other formats and old shards do not.
TEST(Merge, TheFoldersOtherFilesAreKept) {
  const TemporaryFolder tmp;
  const std::string base = tmp / "base", adapter = tmp / "adapter", out = tmp / "out";
  const auto put = [](const std::string& path, const std::string& content) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    WriteFileAtomically(path, content);
  };
  for (const char* file : {"/config.json", "/model.safetensors"}) {
    put(base + file, ReadFile(GoldenModel("llama") + file));
  }
  std::filesystem::copy(GoldenModel("llama") + "/adapter", adapter);
  put(base + "/tokenizer.json",
      ReadFile(std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/tokenizer/gpt2.json"));
  put(base + "/tokenizer_config.json", R"({"chat_template": "base {{ x }}"})");
  put(base + "/chat_template.jinja", "base");
  put(base + "/additional_chat_templates/rag.jinja", "base rag");
  put(base + "/generation_config.json", "{}");
  put(base + "/README.md", "read");
  put(base + "/LICENSE", "licence");
  put(base + "/preprocessor_config.json", "{}");
  put(base + "/vocab.json", "{}");
  put(base + "/model-00001-of-00002.safetensors", "old");
  put(base + "/pytorch_model.bin", "old");
  put(base + "/model.gguf", "old");
  put(base + "/metrics.jsonl", "{}");
  put(base + "/.gitattributes", "x");
  ASSERT_EQ(RunCommand(RunMerge, {adapter, out, "--model", base}).error, "");
  const auto kept = [&](const std::string& name) {
    return std::filesystem::exists(out + "/" + name);
  };
  EXPECT_EQ(ReadFile(out + "/README.md"), "read");
  EXPECT_EQ(ReadFile(out + "/chat_template.jinja"), "base");
  for (const char* name : {"LICENSE", "preprocessor_config.json", "vocab.json", "tokenizer.json",
                           "generation_config.json", "additional_chat_templates/rag.jinja"}) {
    EXPECT_TRUE(kept(name)) << name;
  }
  for (const char* name : {"model-00001-of-00002.safetensors", "pytorch_model.bin", "model.gguf",
                           "metrics.jsonl", ".gitattributes"}) {
    EXPECT_FALSE(kept(name)) << name;
  }
  // An adapter that was trained with another template: none of the base's comes back.
  put(adapter + "/chat_template.jinja", "adapter");
  ASSERT_EQ(RunCommand(RunMerge, {adapter, out, "--model", base, "--overwrite"}).error, "");
  EXPECT_EQ(ReadFile(out + "/chat_template.jinja"), "adapter");
  EXPECT_FALSE(kept("additional_chat_templates/rag.jinja"));
  std::filesystem::remove(adapter + "/chat_template.jinja");
  put(adapter + "/tokenizer_config.json", R"({"chat_template": "adapter {{ x }}"})");
  ASSERT_EQ(RunCommand(RunMerge, {adapter, out, "--model", base, "--overwrite"}).error, "");
  EXPECT_FALSE(kept("chat_template.jinja"));
  EXPECT_THAT(ReadFile(out + "/tokenizer_config.json"), HasSubstr("adapter"));
  EXPECT_TRUE(kept("README.md"));
}

TEST(CompareLogits, KnownDistributions) {
  float p[] = {0, 0, std::log(3.0F), 0}, q[] = {0, 0, 0, 0};
  const Tensor expected(p, DType::kF32, {2, 2}), got(q, DType::kF32, {2, 2});
  const LogitDifference d = CompareLogits(expected, got);
  EXPECT_NEAR(d.largest, std::log(3.0), 1e-6);
  EXPECT_NEAR(d.relative, 1, 1e-6);
  // KL((3/4, 1/4) || (1/2, 1/2)) of the second row.
  const double kl = 0.75 * std::log(1.5) + 0.25 * std::log(0.5);
  EXPECT_NEAR(d.largest_kl, kl, 1e-6);
  EXPECT_NEAR(d.mean_kl, kl / 2, 1e-6);
  EXPECT_EQ(d.same_greedy, 1);
  q[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(CompareLogits(expected, got).largest));
  EXPECT_TRUE(std::isnan(CompareLogits(expected, got).mean_kl));
}

}  // namespace
}  // namespace lorikeet
