// Tests of convert to GGUF: what it writes, verifies and refuses.
#include "cli/convert_gguf.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>

#include "cli/command_for_test.h"
#include "cli/commands.h"
#include "cli/gguf_verify.h"
#include "cli/sample_batch.h"
#include "core/file.h"
#include "engine/gguf_model_writer.h"
#include "model/source_config.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

CommandOutcome Convert(std::vector<std::string> arguments) {
  return RunCommand(RunConvert, std::move(arguments));
}

class ConvertToGgufType : public ::testing::TestWithParam<const char*> {};

TEST_P(ConvertToGgufType, IsVerifiedAndReadByEveryCommand) {
  const TemporaryFolder tmp;
  const std::string dtype = GetParam(), file = tmp / "m.gguf";
  const CommandOutcome outcome = Convert({GoldenModel("llama"), file, "--dtype", dtype, "--json"});
  ASSERT_EQ(outcome.error, "");
  EXPECT_EQ(outcome.status, 0);
  const OrderedJson json = outcome.Json();
  EXPECT_EQ(json["dtype"], dtype);
  EXPECT_EQ(json["bytes"], fs::file_size(file));
  const OrderedJson verify = json["verify"];
  EXPECT_TRUE(verify["ok"].get<bool>());
  EXPECT_EQ(verify["tokens"], 256);
  // The golden's weights are bf16 values.
  const auto difference = verify["relative_difference"].get<double>();
  if (dtype == "f32" || dtype == "bf16") {
    EXPECT_EQ(difference, 0);
  } else {
    EXPECT_GT(difference, dtype == "f16" ? 1e-8 : 1e-3);
    EXPECT_LT(difference, dtype == "f16" ? 1e-5 : 0.5);
  }
  EXPECT_EQ(RunCommand(RunInspect, {file, "--json"}).Json()["model_type"], "llama");
  ASSERT_EQ(Convert({file, tmp / "back", "--dtype", "f32"}).error, "");
  EXPECT_EQ(ModelSource::Open(tmp / "back").config()["hidden_size"],
            ModelSource::Open(GoldenModel("llama")).config()["hidden_size"]);
}
INSTANTIATE_TEST_SUITE_P(Types, ConvertToGgufType,
                         ::testing::Values("f32", "f16", "bf16", "q8_0", "q4_0", "q4_k_m"));

TEST(ConvertToGguf, AutoIsTheStoredDtype) {
  const TemporaryFolder tmp;
  ASSERT_EQ(Convert({GoldenModel("llama"), tmp / "half", "--dtype", "f16"}).error, "");
  const CommandOutcome outcome = Convert({tmp / "half", tmp / "m.gguf", "--json"});
  EXPECT_EQ(outcome.Json()["dtype"], "f16");
  EXPECT_EQ(outcome.Json()["verify"]["relative_difference"].get<double>(), 0);
  EXPECT_FALSE(
      Convert({tmp / "half", tmp / "n.gguf", "--no-verify", "--json"}).Json().contains("verify"));
}

TEST(ConvertToGguf, NothingThatIsThereIsLost) {
  const TemporaryFolder tmp;
  const std::string model = GoldenModel("llama"), file = tmp / "m.gguf";
  WriteFileAtomically(tmp / "Modelfile", "FROM mine\n");
  EXPECT_THAT(Convert({model, file}).error, HasSubstr("Modelfile: exists already"));
  EXPECT_FALSE(fs::exists(file));
  fs::remove(tmp / "Modelfile");
  EXPECT_EQ(Convert({model, file}).error, "");
  EXPECT_THAT(Convert({model, file}).error, HasSubstr("exists already"));
  EXPECT_THAT(Convert({file, file, "--overwrite"}).error, HasSubstr("would be lost"));
  EXPECT_EQ(Convert({model, tmp / "other.gguf"}).error, "");  // the Modelfile was its own
  EXPECT_THAT(ReadFile(tmp / "Modelfile"), HasSubstr("FROM ./other.gguf\n"));
  EXPECT_EQ(Convert({model, file, "--overwrite", "--dtype", "q8_0"}).error, "");
  EXPECT_THAT(Convert({model, tmp / "folder", "--dtype", "q8_0"}).error,
              HasSubstr("only a GGUF file can hold it"));
  EXPECT_THAT(Convert({model + "/adapter", tmp / "a.gguf", "--to", "gguf", "--dtype", "q8_0",
                       "--base", model})
                  .error,
              HasSubstr("f32 or f16"));
}

TEST(ConvertToGguf, WhatTheFormatCannotSayIsNamed) {
  const TemporaryFolder tmp;
  EXPECT_THAT(Convert({GoldenModel("mistral_window"), tmp / "m.gguf"}).error,
              AllOf(HasSubstr("sliding_window of layer 0 is"), HasSubstr("architecture llama")));
  EXPECT_FALSE(fs::exists(tmp / "m.gguf"));
  EXPECT_FALSE(fs::exists(tmp / "Modelfile"));
}

// One tensor's values are moved by a row: what a wrong order of rows would do.
TEST(ConvertToGguf, VerificationFailsOnOtherWeights) {
  for (const GgufTypes types : {GgufTypes::kF32, GgufTypes::kBF16, GgufTypes::kQ8_0}) {
    const TemporaryFolder tmp;
    const std::string file = tmp / "m.gguf";
    const ModelSource source = ModelSource::Open(GoldenModel("llama"));
    WriteGgufModel(source, {.path = file, .types = types});
    const Batch batch = SampleBatch(nullptr, ReadModelConfig(source).vocab_size, 64);
    EXPECT_TRUE(VerifyGguf(source, ModelSource::Open(file), types, batch).ok);
    std::string bytes = ReadFile(file);
    {
      const GgufFile gguf(file);
      const Tensor first = gguf.tensors()[0].tensor, q = gguf.Find("blk.0.attn_q.weight");
      const auto base = static_cast<const std::byte*>(first.data);
      const size_t begin =
          bytes.size() - static_cast<size_t>([&] {
            const auto& last = gguf.tensors().back().tensor;
            return static_cast<const std::byte*>(last.data) - base + (last.bytes() + 31) / 32 * 32;
          }());
      const auto row = static_cast<size_t>(DTypeBytes(q.dtype, q.cols()));
      const auto at = begin + static_cast<size_t>(static_cast<const std::byte*>(q.data) - base);
      std::rotate(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                  bytes.begin() + static_cast<std::ptrdiff_t>(at + row),
                  bytes.begin() + static_cast<std::ptrdiff_t>(at + static_cast<size_t>(q.bytes())));
    }
    WriteFileAtomically(file, bytes);
    const GgufVerification v = VerifyGguf(source, ModelSource::Open(file), types, batch);
    EXPECT_GT(v.difference.relative, 1e-3);
    if (types == GgufTypes::kF32) {
      EXPECT_FALSE(v.ok);
      EXPECT_THAT(v.verdict, HasSubstr("FAILED: the file holds the same weights"));
    }
  }
}

// Nonsense in every matrix of a layer costs more than any rounding.
TEST(ConvertToGguf, VerificationFailsOnNonsense) {
  const TemporaryFolder tmp;
  const ModelSource llama = ModelSource::Open(GoldenModel("llama")),
                    other = ModelSource::Open(GoldenModel("llama3"));
  const Batch batch = SampleBatch(nullptr, ReadModelConfig(llama).vocab_size, 64);
  const GgufVerification v = VerifyGguf(llama, other, GgufTypes::kQ8_0, batch);
  EXPECT_FALSE(v.ok);
  EXPECT_THAT(v.verdict, AllOf(HasSubstr("FAILED"), HasSubstr("is not rounding")));
}

TEST(Modelfile, HasWhatTheFileDoesNotSay) {
  const std::string text = ModelfileText(
      "m.gguf", {.generation_config = R"({"temperature": 0.6, "top_k": 20, "eos_token_id": 1})",
                 .end_tokens = {"<|im_end|>", "a\"b"},
                 .chat_template = true});
  EXPECT_THAT(text,
              AllOf(HasSubstr("FROM ./m.gguf\n"), HasSubstr("PARAMETER temperature 0.6\n"),
                    HasSubstr("PARAMETER top_k 20\n"), HasSubstr("PARAMETER stop \"<|im_end|>\"\n"),
                    Not(HasSubstr("TEMPLATE")), HasSubstr("PARAMETER stop \"a\\\"b\"\n")));
  EXPECT_THAT(ModelfileText("m.gguf", {}), HasSubstr("TEMPLATE \"{{ .Prompt }}\"\n"));
  EXPECT_THAT(
      ModelfileText("m.gguf", {.generation_config = R"({"do_sample": false, "temperature": 0.6})"}),
      Not(HasSubstr("temperature")));
}

}  // namespace
}  // namespace lorikeet
