// Models are written in pieces: the bits are those of the whole.
#include "model/export.h"

#include <gtest/gtest.h>

#include <cstring>

#include "checkpoint/safetensors.h"
#include "core/random.h"
#include "kernels/cast.h"
#include "model/random_model_for_test.h"

namespace lorikeet {
namespace {

// Matrices of 1.3 million elements, more than one piece.
constexpr Architecture kWide = {.model_type = "llama",
                                .hidden = 600,
                                .heads = 2,
                                .kv_heads = 1,
                                .head_dim = 16,
                                .intermediate = 2101,
                                .layers = 1,
                                .vocab = 2100,
                                .tied = true,
                                .biases = true};

TEST(Export, MergedInPiecesEqualsMergedAtOnce) {
  const RandomModel files(kWide, "export");
  const auto model = files.Load(DType::kF32);
  LoraConfig config;
  config.r = 5;
  config.target_modules = {"all-linear"};
  LoraAdapter adapter = LoraAdapter::Create(*model, config, 1);
  const RandomStream random(2, "export_test");
  for (const LoraPair& pair : adapter.pairs()) {
    for (int64_t i = 0; i < pair.bt.size(); ++i) {
      pair.bt.as<float>()[i] = static_cast<float>(random.Uniform(static_cast<uint64_t>(i)));
    }
  }
  const ChangeTensor merge = MergeAdapter(adapter);
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const std::string out = files.path() + "/out";
    std::filesystem::create_directories(out);
    WriteModel(model->source(), dtype, merge, out);
    const auto written = OpenSafetensors(out);
    for (const ModelSource::Entry& entry : model->source().entries()) {
      const Tensor old = model->source().Mapped(entry.name);
      const Buffer whole(DType::kF32, {old.rows(), old.rank == 1 ? 1 : old.cols()});
      std::memcpy(whole.tensor().data, old.data, static_cast<size_t>(old.bytes()));
      merge(entry.name, 0, whole.tensor());
      const Buffer expected(dtype, {old.size()});
      Convert(Tensor(whole.tensor().data, DType::kF32, {old.size()}), expected.tensor());
      const Tensor got = written->Find(entry.name);
      ASSERT_EQ(got.bytes(), expected.tensor().bytes()) << entry.name;
      EXPECT_EQ(std::memcmp(got.data, expected.tensor().data, static_cast<size_t>(got.bytes())), 0)
          << entry.name;
    }
  }
}

}  // namespace
}  // namespace lorikeet
