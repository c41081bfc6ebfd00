// Models whose files ask for more than plain causal attention and a tied head, through the
// commands, against what transformers computes (tests/golden/model).
#include <gmock/gmock.h>

#include <filesystem>

#include "checkpoint/safetensors.h"
#include "cli/command_for_test.h"
#include "cli/commands.h"
#include "core/file.h"
#include "core/threads_scope_for_test.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The sequences of a golden as rows of token ids, and the mean of what transformers gives.
struct GoldenRows {
  std::string text;
  double loss = 0;
};

// at_least: shorter sequences are left out.
GoldenRows RowsOf(const std::string& family, int64_t at_least) {
  const auto expected = OpenSafetensors(GoldenModel(family) + "/expected.safetensors");
  const Json golden = ParseJson(ReadFile(GoldenModel(family) + "/golden.json"), "golden.json");
  const auto* logprobs = expected->Find("logprobs").as<float>();
  GoldenRows rows;
  int64_t count = 0;
  for (const Json& sequence : golden.at("batch")) {
    Json tokens = sequence.at("tokens");
    const auto n = static_cast<int64_t>(tokens.size());
    if (n >= at_least) {
      tokens.push_back(sequence.at("targets").back());
      rows.text += Json{{"tokens", tokens}}.dump() + "\n";
      for (int64_t t = 0; t < n; ++t) rows.loss -= logprobs[t];
      count += n;
    }
    logprobs += n;
  }
  rows.loss /= static_cast<double>(count);
  return rows;
}

class ModelFiles : public ::testing::Test {
 protected:
  double Evaluated(const std::string& model, const std::string& rows) const {
    WriteFileAtomically(folder_ / "rows.jsonl", rows);
    const CommandOutcome outcome =
        RunCommand(RunEval, {model, "--data", folder_ / "rows.jsonl", "--dtype", "f32", "--json"});
    EXPECT_EQ(outcome.error, "");
    return outcome.Json()["nll"];
  }
  // The loss of the first step of training on all rows.
  double FirstLoss(const std::string& model, const std::string& rows) const {
    WriteFileAtomically(folder_ / "rows.jsonl", rows);
    const CommandOutcome outcome =
        RunCommand(RunSft, {model, "--data", folder_ / "rows.jsonl", "--max-length", "256",
                            "--max-steps", "1", "--output-dir", folder_ / "out", "--overwrite",
                            "--dtype", "f32", "--batch-size", "2", "--lora-r", "2"});
    EXPECT_EQ(outcome.error, "");
    const std::string metrics = ReadFile((folder_ / "out") + "/metrics.jsonl");
    for (size_t begin = 0; begin < metrics.size();) {
      const size_t end = metrics.find('\n', begin);
      const Json line = ParseJson(metrics.substr(begin, end - begin), "metrics.jsonl");
      if (line.contains("loss")) return line.at("loss");
      begin = end + 1;
    }
    return -1;
  }
  const ThreadsScope threads_{1};
  const TemporaryFolder folder_{"model_files"};
};

TEST_F(ModelFiles, SlidingWindowExceeded) {
  for (const char* family : {"mistral_window", "mistral_layer_types", "qwen2_window"}) {
    const GoldenRows rows = RowsOf(family, 70);  // 70 and 131 tokens: beyond the window
    EXPECT_NEAR(Evaluated(GoldenModel(family), rows.text), rows.loss, 1e-5) << family;
    EXPECT_NEAR(FirstLoss(GoldenModel(family), rows.text), rows.loss, 1e-5) << family;
  }
}

// A Qwen2 whose layers all have full attention has no window, whatever sliding_window says.
TEST_F(ModelFiles, SlidingWindowOfNoLayerIsNoLimit) {
  std::filesystem::copy(GoldenModel("qwen2_window"), folder_ / "model");
  Json config = ParseJson(ReadFile((folder_ / "model") + "/config.json"), "config.json");
  config["layer_types"] = Json(3, "full_attention");
  WriteFileAtomically((folder_ / "model") + "/config.json", config.dump());
  const CommandOutcome outcome = RunCommand(RunInspect, {"model", folder_ / "model", "--json"});
  ASSERT_EQ(outcome.error, "");
  EXPECT_EQ(outcome.Json()["config"]["max_position_embeddings"], 512);
  EXPECT_EQ(outcome.Json()["config"]["windows"], OrderedJson({0, 0, 0}));
  EXPECT_THAT(RunCommand(RunInspect, {"model", GoldenModel("qwen2_window")}).out,
              HasSubstr("33 tokens in 2 of 3 layers"));
}

TEST_F(ModelFiles, TiedHeadInFileDiffers) {
  const GoldenRows rows = RowsOf("llama_own_head", 1);
  EXPECT_NEAR(Evaluated(GoldenModel("llama_own_head"), rows.text), rows.loss, 1e-5);
  constexpr const char* kNote = "has a lm_head.weight that is not the embedding";
  WriteFileAtomically(folder_ / "rows.jsonl", rows.text);
  EXPECT_THAT(
      RunCommand(RunEval, {GoldenModel("llama_own_head"), "--data", folder_ / "rows.jsonl"}).err,
      HasSubstr(kNote));
  EXPECT_THAT(RunCommand(RunInspect, {"model", GoldenModel("llama_own_head")}).out,
              HasSubstr(kNote));
  EXPECT_THAT(RunCommand(RunInspect, {"model", GoldenModel("llama3")}).out, Not(HasSubstr(kNote)));
}

// A head that is a copy of the embedding is not written again: after full fine-tuning it would be
// the embedding of before.
TEST_F(ModelFiles, ACopyOfTheEmbeddingIsNoHeadOfItsOwn) {
  std::filesystem::copy(GoldenModel("llama3"), folder_ / "model");
  const auto file = OpenSafetensors(GoldenModel("llama3"));
  std::vector<TensorToWrite> tensors;
  for (const NamedTensor& named : file->tensors()) {
    const Tensor& t = named.tensor;
    std::vector<int64_t> shape = {t.rows()};
    if (t.rank == 2) shape.push_back(t.cols());
    tensors.push_back({named.name, t.dtype, shape, t.data});
  }
  const Tensor embedding = file->Find("model.embed_tokens.weight");
  tensors.push_back(
      {"lm_head.weight", embedding.dtype, {embedding.rows(), embedding.cols()}, embedding.data});
  WriteSafetensors((folder_ / "model") + "/model.safetensors", tensors, {});
  const GoldenRows rows = RowsOf("llama3", 1);
  EXPECT_NEAR(Evaluated(folder_ / "model", rows.text), rows.loss, 1e-5);
  const CommandOutcome trained =
      RunCommand(RunSft, {folder_ / "model", "--data", folder_ / "rows.jsonl", "--method", "full",
                          "--max-steps", "3", "--learning-rate", "1e-2", "--output-dir",
                          folder_ / "full", "--dtype", "f32"});
  ASSERT_EQ(trained.error, "");
  EXPECT_FALSE(OpenSafetensors(folder_ / "full")->Find("lm_head.weight"));
  const CommandOutcome facts = RunCommand(RunInspect, {"model", folder_ / "full", "--json"});
  EXPECT_EQ(facts.Json()["config"]["tie_word_embeddings"], true);
}

TEST_F(ModelFiles, InspectReadsAsLoadingDoes) {
  for (const char* type : {"dynamic", "longrope"}) {
    std::filesystem::remove_all(folder_ / "model");
    std::filesystem::copy(GoldenModel("llama"), folder_ / "model");
    Json config = ParseJson(ReadFile((folder_ / "model") + "/config.json"), "config.json");
    config["rope_scaling"] = {{"rope_type", type}, {"factor", 2.0}};
    config["residual_scale"] = 2;
    WriteFileAtomically((folder_ / "model") + "/config.json", config.dump());
    const CommandOutcome outcome = RunCommand(RunInspect, {"model", folder_ / "model"});
    EXPECT_THAT(outcome.out, HasSubstr("(not supported)"));
    EXPECT_THAT(outcome.out, HasSubstr(std::string("rope type '") + type + "' is not supported"));
  }
}

TEST_F(ModelFiles, KeysThatAreNotUsedAreNamed) {
  std::filesystem::copy(GoldenModel("llama"), folder_ / "model");
  Json config = ParseJson(ReadFile((folder_ / "model") + "/config.json"), "config.json");
  config["residual_scale"] = 2;
  WriteFileAtomically((folder_ / "model") + "/config.json", config.dump());
  WriteFileAtomically(folder_ / "rows.jsonl", RowsOf("llama", 1).text);
  constexpr const char* kNote = "not used for llama: residual_scale";
  EXPECT_THAT(RunCommand(RunInspect, {"model", folder_ / "model"}).out, HasSubstr(kNote));
  const std::vector<std::string> eval = {folder_ / "model", "--data", folder_ / "rows.jsonl"};
  EXPECT_THAT(RunCommand(RunEval, eval).err, HasSubstr(kNote));
  EXPECT_THAT(RunCommand(RunEstimate, {folder_ / "model"}).err, HasSubstr(kNote));
}

}  // namespace
}  // namespace lorikeet
