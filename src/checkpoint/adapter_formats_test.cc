// peft, mlx-lm and GGUF: expressible scales are restored bit for bit, others are folded into B, and
// no file makes a reader do worse than throw.
#include "checkpoint/adapter_formats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "checkpoint/adapter_pairs.h"
#include "checkpoint/gguf.h"
#include "checkpoint/gguf_writer.h"
#include "checkpoint/memory_file_for_test.h"
#include "checkpoint/mlx_adapter.h"
#include "core/error.h"
#include "core/file.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const GgufBase kLlama = {.model_type = "llama", .heads = {4, 2}};
constexpr AttentionHeads kUnknown = {};

class AdapterFormatsTest : public testing::Test {
 protected:
  AdapterFormatsTest() { fs::create_directories(dir_); }
  ~AdapterFormatsTest() override { fs::remove_all(dir_); }
  std::string Path(const std::string& name) const { return (dir_ / name).string(); }

  // An adapter of the modules with distinct numbers, B (out, r), A (r, in).
  AdapterFile Make(const LoraConfig& config, const std::vector<std::string>& modules,
                   DType dtype = DType::kF32) {
    AdapterFile adapter;
    adapter.config = config;
    for (const std::string& module : modules) {
      const int r = RankOf(config, module);
      AdapterFile::Pair pair = {module, Numbers(&adapter, dtype, r, 5),
                                Numbers(&adapter, dtype, 16, r), AlphaOf(config, module), r};
      adapter.pairs.push_back(std::move(pair));
    }
    return adapter;
  }
  Tensor Numbers(AdapterFile* adapter, DType dtype, int64_t rows, int64_t cols) {
    adapter->storage.emplace_back(dtype, std::initializer_list<int64_t>{rows, cols});
    const Tensor& t = adapter->storage.back().tensor();
    for (int64_t i = 0; i < t.size(); ++i) {
      const auto value = 0.01F * static_cast<float>(++next_ % 997) - 1;
      if (dtype == DType::kF32) {
        t.as<float>()[i] = value;
      } else {
        t.as<bfloat16>()[i] = ToBfloat16(value);
      }
    }
    return t;
  }
  template <class Fn>
  std::string ErrorOf(const Fn& fn) {
    try {
      fn();
    } catch (const Error& e) {
      EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos);
      return e.what();
    }
    return "";
  }

 private:
  fs::path dir_ = fs::temp_directory_path() / ("adapter_formats." + std::to_string(getpid()));
  int64_t next_ = 0;
};

LoraConfig Config(int r, float alpha) {
  LoraConfig config;
  config.r = r;
  config.lora_alpha = alpha;
  config.target_modules = {"q_proj", "k_proj", "up_proj"};
  config.base_model_name_or_path = "org/base";
  return config;
}

std::vector<std::string> Modules() {
  std::vector<std::string> modules;
  for (const char* layer : {"0", "1"}) {
    for (const char* name : {"mlp.up_proj", "self_attn.k_proj", "self_attn.q_proj"}) {
      modules.push_back(std::string("model.layers.") + layer + "." + name);
    }
  }
  return modules;
}

bool SameBits(const Tensor& x, const Tensor& y) {
  return x.dtype == y.dtype && x.shape == y.shape &&
         std::memcmp(x.data, y.data, static_cast<size_t>(x.bytes())) == 0;
}

void ExpectSame(const AdapterFile& got, const AdapterFile& expected) {
  ASSERT_EQ(got.pairs.size(), expected.pairs.size());
  for (size_t i = 0; i < got.pairs.size(); ++i) {
    const auto &x = got.pairs[i], &y = expected.pairs[i];
    EXPECT_EQ(x.module, y.module);
    EXPECT_TRUE(SameBits(x.a, y.a)) << x.module;
    EXPECT_TRUE(SameBits(x.b, y.b)) << x.module;
    EXPECT_EQ(x.r, y.r);
    EXPECT_EQ(x.alpha, y.alpha);
  }
  EXPECT_EQ(got.config.target_modules, expected.config.target_modules);
  EXPECT_EQ(got.config.rank_pattern, expected.config.rank_pattern);
  EXPECT_EQ(got.config.alpha_pattern, expected.config.alpha_pattern);
  EXPECT_EQ(got.config.base_model_name_or_path, expected.config.base_model_name_or_path);
}

// s B A of one module, in double.
std::vector<double> Product(const AdapterFile& adapter, size_t index) {
  const auto& [module, a, b, alpha, r, magnitude] = adapter.pairs[index];
  const double scale = ScaleOf(adapter.config, adapter.pairs[index]);
  std::vector<double> product;
  for (int64_t i = 0; i < b.rows(); ++i) {
    for (int64_t j = 0; j < a.cols(); ++j) {
      double sum = 0;
      for (int64_t k = 0; k < r; ++k) {
        sum += double{b.as<float>()[i * r + k]} * a.as<float>()[k * a.cols() + j];
      }
      product.push_back(scale * sum);
    }
  }
  return product;
}

void ExpectSameProducts(const AdapterFile& got, const AdapterFile& expected) {
  ASSERT_EQ(got.pairs.size(), expected.pairs.size());
  for (size_t i = 0; i < got.pairs.size(); ++i) {
    const auto x = Product(got, i), y = Product(expected, i);
    ASSERT_EQ(x.size(), y.size());
    double largest = 0;
    for (const double v : y) largest = std::max(largest, std::abs(v));
    ASSERT_GT(largest, 0.1);
    for (size_t k = 0; k < x.size(); ++k) ASSERT_NEAR(x[k], y[k], 3e-7 * largest);
  }
}

TEST_F(AdapterFormatsTest, PeftMlxPeftIsTheSameBits) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const float alpha : {16.0F, 7.0F, 0.3F}) {  // alpha / 12 is no whole number of anything
      LoraConfig config = Config(12, alpha);
      std::ranges::sort(config.target_modules);
      const AdapterFile adapter = Make(config, Modules(), dtype);
      const MlxWritten written = WriteMlxAdapter(Path("mlx"), adapter);
      EXPECT_EQ(written.folded + written.padded, 0);
      EXPECT_EQ(AdapterFormatOf(Path("mlx")), AdapterFormat::kMlx);
      EXPECT_EQ(BaseNamedByAdapter(Path("mlx")), "org/base");
      ExpectSame(ReadAnyAdapter(Path("mlx")), adapter);
    }
  }
}

TEST_F(AdapterFormatsTest, MlxFactorsLieTransposed) {
  const AdapterFile adapter = Make(Config(2, 2), {"lm_head"});
  WriteMlxAdapter(Path("mlx"), adapter);
  const auto file = OpenSafetensors(Path("mlx") + "/adapters.safetensors");
  const Tensor a = file->Find("lm_head.lora_a"), b = file->Find("lm_head.lora_b");
  ASSERT_EQ(a.rows(), 5);
  ASSERT_EQ(b.cols(), 16);
  EXPECT_EQ(a.as<float>()[3 * 2 + 1], adapter.pairs[0].a.as<float>()[1 * 5 + 3]);
  EXPECT_EQ(b.as<float>()[1 * 16 + 9], adapter.pairs[0].b.as<float>()[9 * 2 + 1]);
  const std::string path = Path("mlx") + "/adapter_config.json";
  const Json json = ParseJson(ReadFile(path), path);
  EXPECT_EQ(json["lora_parameters"]["keys"], Json::array({"lm_head"}));
  EXPECT_EQ(json["lora_parameters"]["scale"], 1.0);
}

// llama permutes rows of q and k, qwen2 does not; ranks of their own need no folding.
TEST_F(AdapterFormatsTest, PeftGgufPeftIsTheSameBits) {
  for (const char* family : {"llama", "qwen2"}) {
    LoraConfig config = Config(3, 16);
    std::ranges::sort(config.target_modules);
    config.rank_pattern = {{"model.layers.1.mlp.up_proj", 5}};
    const AdapterFile adapter = Make(config, Modules());
    const GgufBase base = {.model_type = family, .heads = {4, 2}};
    EXPECT_EQ(WriteGgufAdapter(Path("a.gguf"), adapter, base, DType::kF32), 0);
    EXPECT_EQ(AdapterFormatOf(Path("a.gguf")), AdapterFormat::kGguf);
    EXPECT_EQ(BaseNamedByAdapter(Path("a.gguf")), "org/base");
    ExpectSame(ReadAnyAdapter(Path("a.gguf")), adapter);
  }
}

TEST_F(AdapterFormatsTest, GgufNamesAndRowsAreThoseOfLlamaCpp) {
  const AdapterFile adapter =
      Make(Config(2, 8), {"model.layers.3.self_attn.k_proj", "model.layers.3.self_attn.o_proj"});
  WriteGgufAdapter(Path("a.gguf"), adapter, kLlama, DType::kF32);
  const GgufFile file(Path("a.gguf"));
  EXPECT_EQ(file.String("general.architecture"), "llama");
  EXPECT_EQ(file.String("general.type"), "adapter");
  EXPECT_EQ(file.String("adapter.type"), "lora");
  EXPECT_EQ(file.Float("adapter.lora.alpha"), 8);
  const Tensor k = file.Find("blk.3.attn_k.weight.lora_b");
  ASSERT_TRUE(k);
  EXPECT_TRUE(SameBits(file.Find("blk.3.attn_k.weight.lora_a"), adapter.pairs[0].a));
  EXPECT_TRUE(SameBits(file.Find("blk.3.attn_output.weight.lora_b"), adapter.pairs[1].b));
  // Two heads of 8: the second head's row 5 (second half, number 1) lies at 2 * 1 + 1.
  EXPECT_TRUE(SameBits(k.Rows(8 + 3, 8 + 4), adapter.pairs[0].b.Rows(8 + 5, 8 + 6)));
}

TEST_F(AdapterFormatsTest, WhatAFormatCannotSayIsFoldedIntoB) {
  LoraConfig config = Config(4, 10);
  config.use_rslora = true;
  config.rank_pattern = {{"up_proj", 7}};
  config.alpha_pattern = {{"model.layers.1.self_attn.k_proj", 3}};
  const AdapterFile adapter = Make(config, Modules());
  EXPECT_EQ(WriteGgufAdapter(Path("a.gguf"), adapter, kLlama, DType::kF32), 3);
  const AdapterFile from_gguf = ReadAnyAdapter(Path("a.gguf"));
  ExpectSameProducts(from_gguf, adapter);
  EXPECT_TRUE(SameBits(from_gguf.pairs[2].b, adapter.pairs[2].b));  // the commonest is not touched
  const MlxWritten written = WriteMlxAdapter(Path("mlx"), adapter);
  EXPECT_EQ(written.folded, 3);
  EXPECT_EQ(written.padded, 4);
  const AdapterFile from_mlx = ReadAnyAdapter(Path("mlx"));
  EXPECT_EQ(from_mlx.pairs[0].r, 7);
  EXPECT_EQ(from_mlx.pairs[1].r, 7);
  for (size_t i = 0; i < adapter.pairs.size(); ++i) {  // zeros add nothing
    EXPECT_EQ(from_mlx.pairs[i].a.rows(), 7);
  }
  ExpectSameProducts(from_mlx, adapter);
}

TEST_F(AdapterFormatsTest, AnAlphaOfZeroStaysNothing) {
  const AdapterFile adapter = Make(Config(2, 0), Modules());
  WriteGgufAdapter(Path("a.gguf"), adapter, kLlama, DType::kF32);
  const AdapterFile read = ReadAnyAdapter(Path("a.gguf"));
  for (const double v : Product(read, 0)) EXPECT_EQ(v, 0);
}

TEST_F(AdapterFormatsTest, TargetsAreNamesOnlyWhereTheyAreTheWholeTruth) {
  const auto targets = [&](std::vector<std::string> modules) {
    return ConfigOfPairs(Make(Config(1, 1), modules).pairs).target_modules;
  };
  EXPECT_THAT(targets(Modules()), ElementsAre("k_proj", "q_proj", "up_proj"));
  EXPECT_THAT(targets({"model.layers.1.mlp.up_proj"}), ElementsAre("model.layers.1.mlp.up_proj"));
  EXPECT_THAT(targets({"model.layers.0.mlp.up_proj", "lm_head"}),
              ElementsAre("lm_head", "up_proj"));
}

TEST_F(AdapterFormatsTest, GgufOfOthersNeedsTheHeadsOfItsBase) {
  const std::vector<float> numbers(64, 1.0F);
  const auto write = [&](const GgufMetadata& more, std::vector<int64_t> b = {16, 2},
                         const std::string& name = "blk.0.attn_q.weight") {
    GgufMetadata metadata = {{"general.type", "adapter"}, {"adapter.type", "lora"}};
    metadata.insert(metadata.end(), more.begin(), more.end());
    WriteGguf(Path("a.gguf"), metadata,
              {{name + ".lora_a", DType::kF32, {2, 5}, numbers.data()},
               {name + ".lora_b", DType::kF32, std::move(b), numbers.data()}});
  };
  const auto error = [&](const AttentionHeads& heads) {
    return ErrorOf([&] { ReadAnyAdapter(Path("a.gguf"), heads); });
  };
  const std::pair<std::string, std::string> llama = {"general.architecture", "llama"};
  write({llama, {"adapter.lora.alpha", 4.0F}});
  EXPECT_THAT(error(kUnknown), HasSubstr("base model"));
  EXPECT_EQ(error({4, 2}), "");
  EXPECT_THAT(error({16, 2}), HasSubstr("16 rows, which are not 16 heads"));
  EXPECT_THAT(error({3, 2}), HasSubstr("not 3 heads"));
  write({llama, {"llama.attention.head_count", 4U}});
  EXPECT_THAT(error({8, 2}), HasSubstr("made for 4 attention heads where the model has 8"));
  EXPECT_EQ(ReadAnyAdapter(Path("a.gguf")).pairs[0].alpha, 2);  // no alpha: the scale is 1
  write({llama, {"adapter.lora.alpha", std::numeric_limits<float>::infinity()}});
  EXPECT_THAT(error({4, 2}), HasSubstr("finite"));
  write({{"general.architecture", "mamba"}});
  EXPECT_THAT(error(kUnknown), HasSubstr("mamba"));
  write({llama, {"adapter.lora.alpha", "much"}});
  EXPECT_THAT(error({4, 2}), HasSubstr("adapter.lora.alpha"));
  write({llama}, {16, 3});
  EXPECT_THAT(error({4, 2}), HasSubstr("lora_b of rank 3"));
  write({llama}, {16});
  EXPECT_THAT(error({4, 2}), HasSubstr("not a matrix"));
  for (const char* name : {"token_embd.weight", "blk.0.attn_q.bias", "blk.x.attn_q.weight", "x"}) {
    write({llama}, {16, 2}, name);
    EXPECT_THAT(error({4, 2}), HasSubstr("neither lora_a nor lora_b")) << name;
  }
}

TEST_F(AdapterFormatsTest, WhatLlamaCppCannotLoadIsNotWritten) {
  const AdapterFile head = Make(Config(2, 2), {"lm_head"});
  GgufBase base = kLlama;
  EXPECT_EQ(WriteGgufAdapter(Path("a.gguf"), head, base, DType::kF16), 0);
  base.tied_head = true;
  EXPECT_THAT(ErrorOf([&] { WriteGgufAdapter(Path("b.gguf"), head, base, DType::kF32); }),
              HasSubstr("merge"));
  base.model_type = "gpt2";
  EXPECT_THAT(ErrorOf([&] { WriteGgufAdapter(Path("b.gguf"), head, base, DType::kF32); }),
              HasSubstr("gpt2"));
  const AdapterFile other = Make(Config(2, 2), {"model.layers.0.mlp.experts"});
  EXPECT_THAT(ErrorOf([&] { WriteGgufAdapter(Path("b.gguf"), other, kLlama, DType::kF32); }),
              HasSubstr("experts"));
  EXPECT_FALSE(fs::exists(Path("b.gguf")));
}

TEST_F(AdapterFormatsTest, HostileMlx) {
  const std::vector<float> numbers(64, 1.0F);
  fs::create_directories(Path("mlx"));
  const auto f32 = [&](const std::string& name, std::vector<int64_t> shape) -> TensorToWrite {
    return {name, DType::kF32, std::move(shape), numbers.data()};
  };
  const std::string good = R"({"lora_parameters": {"rank": 2, "scale": 3.0}})";
  const TensorToWrite a = f32("m.lora_a", {3, 2}), b = f32("m.lora_b", {2, 4});
  const auto error = [&](const std::string& config, const std::vector<TensorToWrite>& tensors) {
    WriteFileAtomically(Path("mlx/adapter_config.json"), config);
    WriteSafetensors(Path("mlx/adapters.safetensors"), tensors, {});
    return ErrorOf([&] { ReadAnyAdapter(Path("mlx")); });
  };
  EXPECT_EQ(error(good, {a, b}), "");
  EXPECT_EQ(ReadAnyAdapter(Path("mlx")).pairs[0].alpha, 6);
  EXPECT_THAT(error(good, {}), HasSubstr("no LoRA factors"));
  EXPECT_THAT(error(good, {a}), HasSubstr("no lora_b"));
  EXPECT_THAT(error(good, {b}), HasSubstr("no lora_a"));
  EXPECT_THAT(error(good, {a, f32("m.lora_b", {3, 4})}), HasSubstr("rank 3"));
  EXPECT_THAT(error(good, {f32("m.lora_a", {3, 1}), f32("m.lora_b", {1, 4})}),
              HasSubstr("rank 1 where the config gives 2"));
  EXPECT_THAT(error(good, {a, b, f32("m.m", {4})}), HasSubstr("DoRA"));
  EXPECT_THAT(error(good, {a, f32("m.lora_b", {8})}), HasSubstr("not a matrix"));
  EXPECT_THAT(error(good, {f32("m(.lora_a", {3, 2})}), HasSubstr("not a module's name"));
  EXPECT_THAT(error(good, {f32(".lora_a", {3, 2})}), HasSubstr("not a module's name"));
  EXPECT_THAT(error(R"({"fine_tune_type": "dora"})", {a, b}), HasSubstr("DoRA"));
  EXPECT_THAT(error("{}", {a, b}), HasSubstr("lora_parameters"));
  EXPECT_THAT(error("[]", {a, b}), HasSubstr("lora_parameters"));
  for (const char* wrong :
       {R"("rank": 2)", R"("rank": 2.5, "scale": 1)", R"("rank": 0, "scale": 1)",
        R"("rank": 1e9, "scale": 1)", R"("rank": 2, "scale": 1e39)", R"("rank": 2, "scale": "x")",
        R"("rank": 2, "scale": 1, "alpha": 4)", R"("rank": 2, "scale": 1, "dropout": 1)"}) {
    EXPECT_NE(error(std::string(R"({"lora_parameters": {)") + wrong + "}}", {a, b}), "") << wrong;
  }
  const std::string whole = ReadFile(Path("mlx/adapters.safetensors"));
  WriteFileAtomically(Path("mlx/adapter_config.json"), good);
  for (size_t bytes = 0; bytes < whole.size(); bytes += 7) {
    WriteFileAtomically(Path("mlx/adapters.safetensors"), whole.substr(0, bytes));
    EXPECT_THROW(ReadAnyAdapter(Path("mlx")), Error) << bytes;
  }
}

TEST_F(AdapterFormatsTest, GgufCutAnywhereIsAnError) {
  WriteGgufAdapter(Path("a.gguf"), Make(Config(2, 8), Modules()), kLlama, DType::kF32);
  const std::string whole = ReadFile(Path("a.gguf"));
  MemoryFile file(whole);
  EXPECT_NO_THROW(ReadGgufAdapter(file.path(), kUnknown));
  for (size_t bytes = whole.size() - 1; bytes > 0; bytes -= std::min<size_t>(bytes, 13)) {
    file.CutTo(bytes);
    EXPECT_THROW(ReadGgufAdapter(file.path(), kUnknown), Error) << bytes;
  }
}

TEST_F(AdapterFormatsTest, WhatIsNoAdapterIsSaidToBeNone) {
  WriteFileAtomically(Path("x.txt"), "GGU");
  EXPECT_FALSE(AdapterFormatOf(Path("x.txt")));
  EXPECT_THAT(ErrorOf([&] { ReadAnyAdapter(Path("x.txt")); }), HasSubstr("not an adapter"));
  EXPECT_THAT(ErrorOf([&] { ReadAnyAdapter(Path("nowhere")); }), HasSubstr("adapter_config.json"));
  const std::string model = LORIKEET_SOURCE_DIR "/tests/golden/gguf/tiny_llama.gguf";
  EXPECT_FALSE(AdapterFormatOf(model));
  EXPECT_THAT(ErrorOf([&] { ReadGgufAdapter(model, kUnknown); }), HasSubstr("not of an adapter"));
}

}  // namespace
}  // namespace lorikeet
