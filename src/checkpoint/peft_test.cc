#include "checkpoint/peft.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const std::string kGolden = LORIKEET_SOURCE_DIR "/tests/golden/peft/adapter";

double Sum(const Tensor& tensor) {
  double sum = 0;
  for (int64_t i = 0; i < tensor.size(); ++i) sum += tensor.as<float>()[i];
  return sum;
}

std::vector<AdapterPairToWrite> PairsOf(const AdapterFile& adapter) {
  std::vector<AdapterPairToWrite> pairs;
  for (const auto& pair : adapter.pairs) pairs.push_back({pair.module, pair.a, pair.b});
  return pairs;
}

class PeftTest : public testing::Test {
 protected:
  PeftTest() { fs::create_directories(dir_); }
  ~PeftTest() override { fs::remove_all(dir_); }
  std::string dir() const { return dir_.string(); }
  // The error of reading a folder with this config and these tensors, all zero.
  std::string ErrorOf(const std::string& config, const std::vector<TensorToWrite>& tensors) {
    WriteFileAtomically(dir() + "/adapter_config.json", config);
    WriteSafetensors(dir() + "/adapter_model.safetensors", tensors, {});
    return ReadError();
  }
  std::string ReadError() {
    try {
      ReadAdapter(dir());
    } catch (const Error& e) {
      EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos);
      return e.what();
    }
    return "";
  }

 private:
  fs::path dir_ = fs::temp_directory_path() / ("peft_test." + std::to_string(getpid()));
};

TEST_F(PeftTest, ReadsWhatPeftWrote) {
  const AdapterFile adapter = ReadAdapter(kGolden);
  EXPECT_EQ(adapter.config.base_model_name_or_path, "tiny/llama");
  EXPECT_EQ(adapter.config.r, 4);
  EXPECT_EQ(adapter.config.lora_alpha, 8);
  EXPECT_TRUE(adapter.config.use_rslora);
  EXPECT_THAT(adapter.config.target_regex, HasSubstr("(q|v)_proj"));
  const std::string path = kGolden + "/expected.json";
  const Json expected = ParseJson(ReadFile(path), path);
  ASSERT_EQ(adapter.pairs.size(), expected.size());
  for (const auto& pair : adapter.pairs) {
    const Json& row = expected.at(pair.module);
    EXPECT_EQ(pair.r, row["r"]) << pair.module;
    EXPECT_NEAR(pair.alpha / std::sqrt(pair.r), row["scaling"].get<double>(), 1e-6) << pair.module;
    EXPECT_EQ(pair.a.rows(), pair.r);
    EXPECT_EQ(pair.a.cols(), row["in"]);
    EXPECT_EQ(pair.b.rows(), row["out"]);
    EXPECT_NEAR(Sum(pair.a), row["sum_a"].get<double>(), 1e-6);
    EXPECT_NEAR(Sum(pair.b), row["sum_b"].get<double>(), 1e-6);
  }
}

TEST_F(PeftTest, RoundTrip) {
  const AdapterFile first = ReadAdapter(kGolden);
  WriteAdapter(dir(), first.config, PairsOf(first));
  const AdapterFile second = ReadAdapter(dir());
  EXPECT_EQ(second.config.rank_pattern, first.config.rank_pattern);
  EXPECT_EQ(second.config.alpha_pattern, first.config.alpha_pattern);
  EXPECT_EQ(second.config.target_regex, first.config.target_regex);
  EXPECT_EQ(second.config.base_model_name_or_path, "tiny/llama");
  ASSERT_EQ(second.pairs.size(), first.pairs.size());
  for (size_t i = 0; i < first.pairs.size(); ++i) {
    EXPECT_EQ(second.pairs[i].module, first.pairs[i].module);
    EXPECT_EQ(Sum(second.pairs[i].a), Sum(first.pairs[i].a));
    EXPECT_EQ(Sum(second.pairs[i].b), Sum(first.pairs[i].b));
  }
}

TEST_F(PeftTest, WritesForPeft) {
  const char* out = std::getenv("LORIKEET_PEFT_OUT");
  if (out == nullptr) {
    GTEST_SKIP() << "LORIKEET_PEFT_OUT is not set; tools/check_peft_roundtrip.py sets it";
  }
  const AdapterFile adapter = ReadAdapter(kGolden);
  WriteAdapter(out, adapter.config, PairsOf(adapter));
}

TEST_F(PeftTest, WriterRefusesWhatTheConfigDoesNotSay) {
  const AdapterFile adapter = ReadAdapter(kGolden);
  LoraConfig config = adapter.config;
  config.rank_pattern.clear();
  EXPECT_THROW(WriteAdapter(dir(), config, PairsOf(adapter)), Error);
  config = adapter.config;
  config.target_regex = "nothing";
  EXPECT_THROW(WriteAdapter(dir(), config, PairsOf(adapter)), Error);
}

TEST_F(PeftTest, EveryTensorIsUsedAndEveryPairIsWhole) {
  const std::string config = R"({"peft_type":"LORA","target_modules":["q","lm_head"],"r":2})";
  const std::vector<float> zeros(64);
  const auto f32 = [&](const std::string& name, std::vector<int64_t> shape) -> TensorToWrite {
    return {name, DType::kF32, std::move(shape), zeros.data()};
  };
  const std::string q = "base_model.model.model.q.";
  const TensorToWrite a = f32(q + "lora_A.weight", {2, 3}), b = f32(q + "lora_B.weight", {4, 2});
  EXPECT_EQ(ErrorOf(config, {a, b}), "");
  EXPECT_THAT(ErrorOf(config, {}), HasSubstr("no LoRA factors"));
  EXPECT_THAT(ErrorOf(config, {a}), HasSubstr("'model.q': has lora_A but no lora_B"));
  EXPECT_THAT(ErrorOf(config, {b}), HasSubstr("'model.q': has lora_B but no lora_A"));
  EXPECT_THAT(ErrorOf(config, {a, b, f32("x", {1})}), HasSubstr("'x'"));
  EXPECT_THAT(ErrorOf(config, {a, b, f32(q + "lora_magnitude_vector", {4})}),
              HasSubstr("does not say use_dora"));
  const std::string dora = R"({"peft_type":"LORA","target_modules":["q"],"r":2,"use_dora":true})";
  EXPECT_EQ(ErrorOf(dora, {a, b, f32(q + "lora_magnitude_vector", {4})}), "");
  EXPECT_THAT(ErrorOf(dora, {a, b}), HasSubstr("no lora_magnitude_vector"));
  EXPECT_THAT(ErrorOf(dora, {a, b, f32(q + "lora_magnitude_vector", {3})}),
              HasSubstr("another size"));
  EXPECT_THAT(ErrorOf(dora, {a, b, f32(q + "lora_magnitude_vector", {2, 2})}),
              HasSubstr("not a vector"));
  EXPECT_THAT(ErrorOf(dora, {f32(q + "lora_magnitude_vector", {4})}), HasSubstr("no factors"));
  EXPECT_THAT(ErrorOf(config, {a, b, f32("base_model.model.e.lora_embedding_A", {2, 2})}),
              HasSubstr("lora_embedding_A"));
  EXPECT_THAT(ErrorOf(config, {f32(q + "lora_A.weight", {3, 3}), b}), HasSubstr("rank 2"));
  EXPECT_THAT(ErrorOf(config, {a, f32(q + "lora_B.weight", {4, 3})}), HasSubstr("rank 2"));
  EXPECT_THAT(ErrorOf(config, {f32(q + "lora_A.weight", {6}), b}), HasSubstr("not a matrix"));
  EXPECT_THAT(ErrorOf(config, {f32(q + "lora_A.weight", {2, 0}), b}), HasSubstr("not a matrix"));
  EXPECT_THAT(ErrorOf(R"({"peft_type":"LORA","target_modules":["k"],"r":2})", {a, b}),
              HasSubstr("target_modules"));
  EXPECT_THAT(ErrorOf(R"({"peft_type":"LORA","target_modules":"(?<n>x)q","r":2})", {a, b}),
              HasSubstr("'(?<n>x)q'"));
  EXPECT_THAT(ErrorOf("{", {a, b}), HasSubstr("adapter_config.json"));
}

TEST_F(PeftTest, KeepsTheBaseWeightThatPeftCopiesWithLmHead) {
  const std::string config = R"({"peft_type":"LORA","target_modules":["lm_head"],"r":1})";
  const std::vector<float> zeros(12);
  const std::string head = "base_model.model.lm_head.";
  const TensorToWrite base{head + "base_layer.weight", DType::kF32, {4, 3}, zeros.data()};
  EXPECT_THAT(ErrorOf(config, {base}), HasSubstr("no LoRA factors"));
  ASSERT_EQ(ErrorOf(config, {base,
                             {head + "lora_A.weight", DType::kF32, {1, 3}, zeros.data()},
                             {head + "lora_B.weight", DType::kF32, {4, 1}, zeros.data()}}),
            "");
  const AdapterFile adapter = ReadAdapter(dir());
  EXPECT_EQ(adapter.base_copies.at("lm_head.weight").rows(), 4);
}

TEST_F(PeftTest, MissingFilesAndPickledWeights) {
  EXPECT_THAT(ReadError(), HasSubstr("adapter_config.json"));
  WriteFileAtomically(dir() + "/adapter_model.bin", "x");
  EXPECT_THAT(ReadError(), HasSubstr("save_pretrained"));
}

}  // namespace
}  // namespace lorikeet
