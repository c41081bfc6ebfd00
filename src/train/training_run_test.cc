// Steps of a `TrainingRun`, beyond the properties that tests/golden checks.
#include "train/training_run.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lorikeet {
namespace {

// The parameters after one step with a gradient of zero: only decay can move them.
std::vector<float> FirstValues(const OptimParams& params, std::vector<int>* ranks) {
  const auto model =
      Model::Load(std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/model/llama_bias", DType::kF32);
  TrainingRun run(*model, RunOptions{.tokens_per_microbatch = 64});
  run.OptimStep(params);
  std::vector<float> values;
  for (const Param& param : run.params()) {
    values.push_back(param.value.as<float>()[0]);
    ranks->push_back(param.value.rank);
  }
  return values;
}

TEST(TrainingRun, WeightDecaySparesNormsAndBiasesWhereMatricesAloneDecay) {
  std::vector<int> ranks;
  const std::vector<float> still = FirstValues({.learning_rate = 0.5}, &ranks);
  ranks.clear();
  const std::vector<float> all = FirstValues({.learning_rate = 0.5, .weight_decay = 0.5}, &ranks);
  ranks.clear();
  const std::vector<float> matrices =
      FirstValues({.learning_rate = 0.5, .weight_decay = 0.5, .decay_matrices_only = true}, &ranks);
  int vectors = 0;
  for (size_t i = 0; i < ranks.size(); ++i) {
    EXPECT_EQ(all[i], still[i] * 0.75F);
    EXPECT_EQ(matrices[i], ranks[i] == 1 ? still[i] : all[i]);
    vectors += ranks[i] == 1;
  }
  EXPECT_GT(vectors, 0);
  EXPECT_LT(vectors, static_cast<int>(ranks.size()));
}

}  // namespace
}  // namespace lorikeet
