#include "engine/adapter_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "model/lora.h"

namespace lorikeet {
namespace {

using ::testing::ElementsAre;

std::string Golden() { return std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/model/llama"; }

TEST(AdapterStore, LoadsOnceAndKeepsWhatIsInUse) {
  const auto model = Model::Load(Golden(), DType::kF32);
  AdapterStore store(*model);
  const std::string path = Golden() + "/adapter";
  const auto weights = store.Load(path);
  EXPECT_EQ(store.Load(path), weights);
  EXPECT_EQ(store.Bytes(), weights->Bytes());
  EXPECT_GT(store.Bytes(), 0U);
  store.Put("step 3", weights->Copy());
  EXPECT_THAT(store.Names(), ElementsAre(path, "step 3"));
  EXPECT_NE(store.Find("step 3")->version(), weights->version());
  const float first = weights->slots()[0].a.as<float>()[0];
  EXPECT_TRUE(store.Remove(path));
  EXPECT_FALSE(store.Remove(path));
  EXPECT_EQ(store.Find(path), nullptr);
  EXPECT_EQ(weights->slots()[0].a.as<float>()[0], first);
}

TEST(AdapterStore, AnAdapterThatCannotBeLoadedLeavesNothing) {
  const auto model = Model::Load(Golden(), DType::kF32);
  AdapterStore store(*model);
  EXPECT_THROW(store.Load("/no/such/adapter"), Error);
  EXPECT_THAT(store.Names(), ElementsAre());
}

}  // namespace
}  // namespace lorikeet
