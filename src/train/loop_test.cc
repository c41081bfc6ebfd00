// `TrainLoop` with a recipe that only records its calls.
#include "train/loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/temporary_folder_for_test.h"
#include "train/checkpoint.h"

namespace lorikeet {
namespace {

using ::testing::ElementsAre;

class Loop : public ::testing::Test {
 protected:
  Loop()
      : model_(Model::Load(std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/model/llama",
                           DType::kF32)) {
    LoraConfig config{.r = 1};
    config.target_modules = {"all-linear"};
    run_ = std::make_unique<TrainingRun>(*model_, LoraAdapter::Create(*model_, config, 1),
                                         RunOptions{.tokens_per_microbatch = 16});
    options_.output_dir = root_ / "out";
    options_.tensorboard = false;
    recipe_.total_steps = 5;
    recipe_.state_format = 7;
    recipe_.settings = {{"kind", "none"}};
    recipe_.step = [this] {
      log_.push_back("step");
      run_->OptimStep({});
      return StepOutput{.metrics = {{"loss", 1}}};
    };
    recipe_.evaluate = [this] {
      log_.push_back("evaluate " + std::to_string(loop_->step()));
      return outcome_;
    };
    recipe_.state = [this] { return Json{{"mine", loop_->step()}}; };
    recipe_.restore = [this](const Json& state) {
      log_.push_back("restore " + state.at("mine").dump());
      return loop_->step();
    };
    recipe_.trainer_state = [] { return Json::object(); };
  }
  LoopResult Run() {
    log_.clear();
    loop_.emplace(*run_, options_, hooks_);
    return loop_->Run(recipe_);
  }
  std::vector<int64_t> Checkpoints() const {
    std::vector<int64_t> steps;
    for (const CheckpointRef& each : ListCheckpoints(options_.output_dir)) {
      steps.push_back(each.step);
    }
    return steps;
  }

  TemporaryFolder root_{"loop_test"};
  std::unique_ptr<Model> model_;
  std::unique_ptr<TrainingRun> run_;
  LoopOptions options_;
  LoopHooks hooks_;
  LoopRecipe recipe_;
  std::optional<TrainLoop> loop_;
  Evaluated outcome_ = Evaluated::kDone;
  std::vector<std::string> log_;
};

TEST_F(Loop, AsksForWhatIsDue) {
  options_.eval_steps = 3;
  options_.eval_at = {1};
  options_.save_steps = 2;
  const LoopResult result = Run();
  EXPECT_EQ(result.steps, 5);
  EXPECT_FALSE(result.interrupted);
  EXPECT_EQ(result.checkpoint, CheckpointDir(options_.output_dir, 5));
  EXPECT_THAT(log_, ElementsAre("evaluate 0", "step", "evaluate 1", "step", "step", "evaluate 3",
                                "step", "step", "evaluate 5"));
  EXPECT_THAT(Checkpoints(), ElementsAre(4, 5));  // save_total_limit
}

TEST_F(Loop, TheBestEvaluationIsKept) {
  options_.eval_steps = 1;
  options_.save_total_limit = 1;
  recipe_.status = [] { return RecipeStatus{.best_step = 2}; };
  recipe_.evaluate = [this] { return loop_->step() == 2 ? Evaluated::kBest : Evaluated::kDone; };
  Run();
  EXPECT_THAT(Checkpoints(), ElementsAre(2, 5));
}

// As after a power cut that took the removal of a checkpoint back.
TEST_F(Loop, AResumedRunAtItsEndKeepsNoMoreThanTheLimit) {
  options_.save_steps = 2;
  options_.save_total_limit = 9;
  const LoopResult whole = Run();
  ASSERT_THAT(Checkpoints(), ElementsAre(2, 4, 5));
  options_.save_total_limit = 1;
  options_.resume_from = whole.checkpoint;
  EXPECT_EQ(Run().steps, 5);
  EXPECT_THAT(Checkpoints(), ElementsAre(5));
}

TEST_F(Loop, ARecipeMayEndBeforeItsLastStep) {
  recipe_.status = [this] { return RecipeStatus{.done = loop_->step() == 3}; };
  EXPECT_EQ(Run().steps, 3);
  EXPECT_THAT(Checkpoints(), ElementsAre(3));
}

TEST_F(Loop, AStoppedEvaluationIsFollowedByNoStepAndMadeUpFor) {
  options_.eval_at = {2};
  bool stop = false;
  hooks_.stop_requested = [&] { return stop; };
  recipe_.evaluate = [&] {
    log_.push_back("evaluate " + std::to_string(loop_->step()));
    stop = loop_->step() == 2;
    return stop ? Evaluated::kStopped : Evaluated::kDone;
  };
  const LoopResult cut = Run();
  EXPECT_TRUE(cut.interrupted);
  EXPECT_THAT(log_, ElementsAre("evaluate 0", "step", "step", "evaluate 2"));
  EXPECT_THAT(Checkpoints(), ElementsAre(2));
  stop = false;
  hooks_.stop_requested = nullptr;
  options_.resume_from = cut.checkpoint;
  recipe_.evaluate = [&] {
    log_.push_back("evaluate " + std::to_string(loop_->step()));
    return Evaluated::kDone;
  };
  EXPECT_EQ(Run().steps, 5);
  EXPECT_THAT(log_, ElementsAre("restore 2", "evaluate 2", "step", "step", "step", "evaluate 5"));
}

}  // namespace
}  // namespace lorikeet
