// Tests of convert --to: adapters of one program in another's format; every command reads all
// formats.
#include "cli/convert_adapter.h"

#include <gmock/gmock.h>

#include <cstring>

#include "cli/command_for_test.h"
#include "cli/commands.h"
#include "core/file.h"
#include "model/lora.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;

CommandOutcome Convert(std::vector<std::string> arguments) {
  return RunCommand(RunConvert, std::move(arguments));
}

class ConvertAdapterFamily : public ::testing::TestWithParam<const char*> {};

TEST_P(ConvertAdapterFamily, ThereAndBackAndInUse) {
  const TemporaryFolder tmp;
  const std::string dir = GoldenModel(GetParam()), original = dir + "/adapter";
  ASSERT_EQ(Convert({original, tmp / "a.gguf", "--to", "gguf", "--base", dir}).error, "");
  ASSERT_EQ(Convert({original, tmp / "mlx", "--to", "mlx"}).error, "");
  ASSERT_EQ(Convert({tmp / "a.gguf", tmp / "from_gguf", "--to", "peft"}).error, "");
  ASSERT_EQ(Convert({tmp / "mlx", tmp / "from_mlx", "--to", "peft"}).error, "");
  const std::string bytes = ReadFile(tmp / "from_mlx/adapter_model.safetensors");
  EXPECT_EQ(bytes, ReadFile(tmp / "from_gguf/adapter_model.safetensors"));
  // The model's logits are those with the original.
  const auto model = Model::Load(dir, DType::kF32);
  const LoraAdapter expected = LoraAdapter::Load(*model, original);
  for (const char* name : {"a.gguf", "mlx", "from_gguf", "from_mlx"}) {
    const LoraAdapter got = LoraAdapter::Load(*model, tmp / name);
    ASSERT_EQ(got.pairs().size(), expected.pairs().size());
    for (size_t i = 0; i < got.pairs().size(); ++i) {
      const LoraPair &x = got.pairs()[i], &y = expected.pairs()[i];
      EXPECT_EQ(x.scale, y.scale);
      EXPECT_EQ(std::memcmp(x.a.data, y.a.data, static_cast<size_t>(y.a.bytes())), 0) << name;
      EXPECT_EQ(std::memcmp(x.bt.data, y.bt.data, static_cast<size_t>(y.bt.bytes())), 0) << name;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Families, ConvertAdapterFamily,
                         ::testing::Values("llama", "llama3", "qwen2", "qwen3", "smollm3", "gemma",
                                           "gemma2"));

TEST(ConvertAdapter, InspectAndMergeReadTheOtherFormats) {
  const TemporaryFolder tmp;
  const std::string dir = GoldenModel("llama");
  ASSERT_EQ(Convert({dir + "/adapter", tmp / "a.gguf", "--to", "gguf", "--base", dir}).error, "");
  const CommandOutcome inspected =
      RunCommand(RunInspect, {tmp / "a.gguf", "--model", dir, "--json"});
  EXPECT_EQ(inspected.Json()["kind"], "adapter");
  EXPECT_EQ(inspected.Json()["format"], "gguf");
  EXPECT_TRUE(inspected.Json()["fits"].get<bool>());
  const CommandOutcome merged =  // the base named in the file is used
      RunCommand(RunMerge, {tmp / "a.gguf", tmp / "out", "--dtype", "f32", "--verify", "--json"});
  EXPECT_EQ(merged.error, "");
  EXPECT_TRUE(merged.Json()["verify"]["ok"].get<bool>());
  EXPECT_THAT(Convert({tmp / "a.gguf", tmp / "x"}).error, HasSubstr("--to peft, mlx or gguf"));
  EXPECT_THAT(RunCommand(RunInspect, {"model", tmp / "a.gguf"}).error, HasSubstr("an adapter"));
}

TEST(ConvertAdapter, SaysWhatItFoldedAndCopiesTheTokenizer) {
  const TemporaryFolder tmp;
  const std::string golden = std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/peft/adapter";
  std::filesystem::copy(golden, tmp / "in");
  WriteFileAtomically(tmp / "in/tokenizer.json", "any bytes");
  const CommandOutcome outcome = Convert({tmp / "in", tmp / "mlx", "--to", "mlx"});
  EXPECT_THAT(outcome.out, HasSubstr("6 modules was multiplied into B"));
  EXPECT_THAT(outcome.out, HasSubstr("7 modules got zeros"));
  EXPECT_EQ(ReadFile(tmp / "mlx/tokenizer.json"), "any bytes");
}

TEST(ConvertAdapter, NothingIsLostUnasked) {
  const TemporaryFolder tmp;
  const std::string dir = GoldenModel("llama"), adapter = dir + "/adapter";
  EXPECT_THAT(Convert({dir, tmp / "x", "--to", "mlx"}).error, HasSubstr("not an adapter"));
  WriteFileAtomically(tmp / "diary.gguf", "dear diary");
  const auto to_gguf = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {adapter, tmp / "diary.gguf", "--to", "gguf", "--base", dir});
    return Convert(more).error;
  };
  EXPECT_THAT(to_gguf({}), HasSubstr("exists already"));
  EXPECT_THAT(to_gguf({"--overwrite"}), HasSubstr("adapters of the same format only"));
  EXPECT_EQ(ReadFile(tmp / "diary.gguf"), "dear diary");
  std::filesystem::copy(adapter, tmp / "in");
  EXPECT_THAT(Convert({tmp / "in", tmp / "in/", "--to", "peft", "--overwrite"}).error,
              HasSubstr("would be lost"));
  ASSERT_EQ(Convert({adapter, tmp / "mlx", "--to", "mlx"}).error, "");
  EXPECT_EQ(Convert({tmp / "in", tmp / "mlx", "--to", "mlx", "--overwrite"}).error, "");
  EXPECT_THAT(Convert({adapter, tmp / "y", "--to", "mlx", "--dtype", "f16"}).error,
              HasSubstr("keeps the dtype"));
}

}  // namespace
}  // namespace lorikeet
