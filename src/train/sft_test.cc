// The loop on a tiny model: it learns, and stopping, resuming, threads and micro-batches do not
// change what it computes.
#include "train/sft.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/parallel.h"
#include "core/random.h"
#include "train/checkpoint.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Sequences of random ids, every token but the first two a target.
std::vector<Example> RandomExamples(int64_t count, int64_t vocab, const char* purpose) {
  std::vector<Example> examples;
  for (int64_t i = 0; i < count; ++i) {
    const RandomStream random(7, purpose, "", static_cast<uint64_t>(i));
    const auto length = static_cast<int64_t>(6 + random.Below(1000, 9));
    Example example;
    for (int64_t t = 0; t <= length; ++t) {
      const auto id = static_cast<int32_t>(
          random.Below(static_cast<uint64_t>(t), static_cast<uint64_t>(vocab)));
      if (t < length) example.tokens.push_back(id);
      if (t > 0) example.target_tokens.push_back(id);
      if (t > 0) example.weights.push_back(t > 1 ? 1.0F : 0.0F);
    }
    examples.push_back(std::move(example));
  }
  return examples;
}

struct Setting {
  Method method = Method::kLora;
  DType dtype = DType::kF32;
  int64_t micro_batch_tokens = 64;
  std::string model = "llama";
  std::vector<std::string> targets = {"all-linear"};
  Recompute recompute = Recompute::kNone;
};

// A model with a run over it, as one process would hold them.
struct Trainee {
  explicit Trainee(const Setting& setting)
      : model(Model::Load(std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/model/" + setting.model,
                          setting.dtype)) {
    const RunOptions options{.recompute = setting.recompute,
                             .tokens_per_microbatch = setting.micro_batch_tokens};
    if (setting.method == Method::kFull) {
      run = std::make_unique<TrainingRun>(*model, options);
      return;
    }
    LoraConfig config{.r = 4, .lora_alpha = 32};
    config.target_modules = setting.targets;
    run = std::make_unique<TrainingRun>(*model, LoraAdapter::Create(*model, config, 1), options);
  }
  std::unique_ptr<Model> model;
  std::unique_ptr<TrainingRun> run;
};

class Sft : public ::testing::Test {
 protected:
  void SetUp() override {
    // A team of threads would only wait for itself in a model this small.
    SetNumThreads(1);
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    std::string name = std::string(info->test_suite_name()) + "_" + info->name();
    std::replace(name.begin(), name.end(), '/', '_');
    root_ = fs::temp_directory_path() / ("lorikeet_" + name + "_" + std::to_string(getpid()));
    fs::remove_all(root_);
    train_ = RandomExamples(8, 90, "train");
    heldout_ = RandomExamples(3, 90, "heldout");
    config_ = {.loop = {.tensorboard = false}, .batch_size = 3, .learning_rate = 5e-3};
    config_.loop.output_dir = Dir("out");
  }
  void TearDown() override {
    fs::remove_all(root_);
    SetNumThreads(threads_);
  }
  std::string Dir(const char* name) const { return (root_ / name).string(); }
  SftResult Train(const Setting& setting, const SftHooks& hooks = {}) {
    Trainee trainee(setting);
    return TrainSft(*trainee.run, train_, heldout_, config_, hooks);
  }
  std::string ErrorOf(const Setting& setting) {
    try {
      Train(setting);
    } catch (const Error& e) {
      code_ = e.code();
      return e.what();
    }
    return "no error";
  }
  static std::string WeightsFile(const Setting& setting) {
    return setting.method == Method::kLora ? "/adapter_model.safetensors" : "/model.safetensors";
  }
  std::vector<int64_t> CheckpointSteps() const {
    std::vector<int64_t> steps;
    for (const CheckpointRef& c : ListCheckpoints(config_.loop.output_dir)) steps.push_back(c.step);
    return steps;
  }
  // run_state.json without what depends on the folder: trainer_state.json names it, and a run that
  // is resumed in another one has its later metrics only.
  static std::string StateIn(const std::string& dir) {
    Json state = ReadRunState(dir);
    for (const char* key : {"files", "crc32c", "metrics_lines"}) EXPECT_EQ(state.erase(key), 1);
    return state.dump();
  }
  // Loss of every line with `key` in metrics.jsonl.
  std::vector<double> Logged(const std::string& key) const {
    std::vector<double> values;
    std::istringstream lines(ReadFile(config_.loop.output_dir + "/metrics.jsonl"));
    for (std::string line; std::getline(lines, line);) {
      const Json json = Json::parse(line);
      if (json.contains(key)) values.push_back(json[key].get<double>());
    }
    return values;
  }

  fs::path root_;
  std::vector<Example> train_, heldout_;
  SftConfig config_;
  ErrorCode code_ = ErrorCode::kIo;
  int threads_ = NumThreads();
};

TEST_F(Sft, OverfitsEightSamples) {
  config_.batch_size = 8;
  config_.loop.max_steps = 250;
  config_.learning_rate = 6e-3;
  // The tiny model's frozen head is too weak to be sure of anything.
  const SftResult result = Train({.targets = {"all-linear", "lm_head"}});
  EXPECT_GT(result.first_loss, 3);
  EXPECT_LT(result.last_loss, 0.05);
  EXPECT_EQ(result.steps, 250);
  EXPECT_TRUE(fs::exists(config_.loop.output_dir + "/adapter_config.json"));
  EXPECT_THAT(CheckpointSteps(), ElementsAre(250));
}

TEST_F(Sft, EpochsAndPartialBatches) {
  config_.num_train_epochs = 2;  // 8 examples in batches of 3: 3, 3, 2, twice
  EXPECT_EQ(TotalSteps(config_, 8), 6);
  const SftResult result = Train({});
  EXPECT_EQ(result.steps, 6);
  int64_t tokens = 0;
  for (const Example& example : train_) tokens += example.num_tokens();
  EXPECT_EQ(result.tokens, 2 * tokens);
  EXPECT_EQ(Logged("epoch").size(), 8U);  // six steps and two evaluations
  EXPECT_EQ(Logged("eval_loss").size(), 2U);
}

class SftResume : public Sft, public ::testing::WithParamInterface<std::tuple<Method, DType>> {
 protected:
  void SetUp() override {
    Sft::SetUp();
    std::tie(setting_.method, setting_.dtype) = GetParam();
    if (setting_.dtype == DType::kBF16 && DefaultComputeDtype() != DType::kBF16) {
      GTEST_SKIP() << "this CPU has no native bf16 products";
    }
    config_.loop.max_steps = 7;
    config_.loop.eval_steps = 2;
    config_.schedule = ScheduleKind::kCosine;
    config_.warmup_steps = 2;
    config_.optim.max_grad_norm = 1;
    config_.loop.save_steps = 3;
  }
  Setting setting_;
};

TEST_P(SftResume, EqualsUninterruptedBitForBit) {
  Train(setting_);
  const SftConfig whole = config_;
  config_.loop.output_dir = Dir("cut");
  int64_t asked = 0;
  SftHooks hooks;
  // Between steps it is asked twice, in evaluations once: stops after step 4.
  hooks.loop.stop_requested = [&] { return fs::exists(Dir("cut") + "/stop") || ++asked > 11; };
  const SftResult cut = Train(setting_, hooks);
  ASSERT_TRUE(cut.interrupted);
  ASSERT_GT(cut.steps, 3);
  ASSERT_LT(cut.steps, 7);
  EXPECT_EQ(cut.checkpoint, CheckpointDir(config_.loop.output_dir, cut.steps));
  EXPECT_FALSE(fs::exists(config_.loop.output_dir + WeightsFile(setting_)));

  config_.loop.resume_from = LatestCheckpoint(config_.loop.output_dir);
  const SftResult resumed = Train(setting_);
  EXPECT_EQ(resumed.steps, 7);
  EXPECT_EQ(resumed.steps_here, 7 - cut.steps);
  for (const std::string& file :
       {WeightsFile(setting_), std::string("/checkpoint-7/training_state.safetensors"),
        "/checkpoint-7" + WeightsFile(setting_)}) {
    EXPECT_TRUE(ReadFile(whole.loop.output_dir + file) == ReadFile(config_.loop.output_dir + file))
        << file;
  }
  EXPECT_EQ(StateIn(whole.loop.output_dir + "/checkpoint-7"),
            StateIn(config_.loop.output_dir + "/checkpoint-7"));
  const std::vector<double> losses = Logged("loss"), evaluations = Logged("eval_loss");
  config_ = whole;
  EXPECT_EQ(Logged("loss"), losses);
  EXPECT_EQ(Logged("eval_loss"), evaluations);
}

// A run may be resumed where memory is scarcer, or less so.
TEST_P(SftResume, RecomputingChangesNoBit) {
  config_.loop.max_steps = 4;
  config_.loop.save_steps = 2;
  Train(setting_);
  const SftConfig kept = config_;
  setting_.recompute = Recompute::kBlock;
  config_.loop.output_dir = Dir("block");
  Train(setting_);
  const auto same = [&](const std::string& file) {
    return ReadFile(kept.loop.output_dir + file) == ReadFile(config_.loop.output_dir + file);
  };
  EXPECT_TRUE(same("/checkpoint-4/training_state.safetensors"));
  EXPECT_TRUE(same(WeightsFile(setting_)));

  config_.loop.output_dir = Dir("resumed");
  config_.loop.resume_from = CheckpointDir(kept.loop.output_dir, 2);  // activations kept
  EXPECT_EQ(Train(setting_).steps_here, 2);
  EXPECT_TRUE(same("/checkpoint-4/training_state.safetensors"));
  EXPECT_EQ(StateIn(kept.loop.output_dir + "/checkpoint-4"),
            StateIn(config_.loop.output_dir + "/checkpoint-4"));
}

INSTANTIATE_TEST_SUITE_P(All, SftResume,
                         ::testing::Combine(::testing::Values(Method::kLora, Method::kFull),
                                            ::testing::Values(DType::kF32, DType::kBF16)),
                         [](const auto& param) {
                           const bool lora = std::get<0>(param.param) == Method::kLora;
                           return std::string(lora ? "lora_" : "full_") +
                                  DTypeName(std::get<1>(param.param));
                         });

// A process killed between checkpoints: the metrics file is ahead of the last checkpoint.
TEST_F(Sft, AKillLosesOnlyStepsAfterTheLastCheckpoint) {
  config_.loop.max_steps = 6;
  config_.loop.save_steps = 2;
  Train({});
  const std::string expected = ReadFile(config_.loop.output_dir + "/adapter_model.safetensors");
  const std::vector<double> losses = Logged("loss");
  fs::remove_all(CheckpointDir(config_.loop.output_dir, 6));
  fs::remove_all(config_.loop.output_dir + "/adapter_model.safetensors");
  fs::create_directories(config_.loop.output_dir + "/checkpoint-6.tmp/half");
  fs::create_directories(config_.loop.output_dir + "/checkpoint-5");  // not complete
  config_.loop.resume_from = LatestCheckpoint(config_.loop.output_dir);
  EXPECT_EQ(config_.loop.resume_from, CheckpointDir(config_.loop.output_dir, 4));
  EXPECT_EQ(Train({}).steps_here, 2);
  EXPECT_TRUE(ReadFile(config_.loop.output_dir + "/adapter_model.safetensors") == expected);
  EXPECT_EQ(Logged("loss"), losses);
  EXPECT_FALSE(fs::exists(config_.loop.output_dir + "/checkpoint-6.tmp"));
}

TEST_F(Sft, OtherSettingsCannotResume) {
  config_.loop.max_steps = 2;
  config_.settings = {{"seed", 42},
                      {"data", "0123"}};  // those of a real run: recipes/run_settings.h
  Train({});
  config_.loop.resume_from = LatestCheckpoint(config_.loop.output_dir);
  config_.loop.max_steps = 3;  // a constant rate may go on for longer
  EXPECT_EQ(ErrorOf({}), "no error");
  config_.settings["seed"] = 1;
  EXPECT_THAT(ErrorOf({}), HasSubstr("seed was 42 and is 1 now"));
  EXPECT_EQ(code_, ErrorCode::kInvalidArgument);
  config_.settings = {{"seed", 42}, {"data", "4567"}};
  EXPECT_THAT(ErrorOf({}), HasSubstr("data is not what it was"));
}

TEST_F(Sft, SameSeedSameAdapterOnOneThreadAndTwo) {
  config_.loop.max_steps = 4;
  std::vector<std::string> files;
  for (const int count : {1, 2}) {
    SetNumThreads(count);
    config_.loop.output_dir = Dir(count == 1 ? "one" : "two");
    Train({});
    files.push_back(ReadFile(config_.loop.output_dir + "/checkpoint-4/training_state.safetensors"));
  }
  EXPECT_TRUE(files[0] == files[1]);
}

TEST_F(Sft, MicroBatchesEqualOneBatch) {
  std::vector<const Example*> batch;
  for (const Example& example : train_) batch.push_back(&example);
  Trainee whole({.micro_batch_tokens = 512}), cut({.micro_batch_tokens = 15});
  const ForwardBackwardOutput one = whole.run->ForwardBackward(batch);
  const ForwardBackwardOutput many = cut.run->ForwardBackward(batch);
  EXPECT_NEAR(one.MeanLoss(), many.MeanLoss(), 1e-6);
  EXPECT_EQ(one.trained_tokens, many.trained_tokens);
  for (size_t p = 0; p < whole.run->params().size(); ++p) {
    const Tensor a = whole.run->params()[p].grad, b = cut.run->params()[p].grad;
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < a.size(); ++i) {
      const double x = a.as<float>()[i], y = b.as<float>()[i];
      difference += (x - y) * (x - y);
      norm += x * x;
    }
    EXPECT_LE(std::sqrt(difference), 1e-6 * std::sqrt(norm)) << whole.run->params()[p].name;
  }
}

TEST_F(Sft, RotationKeepsTheLastAndTheBest) {
  config_.loop.max_steps = 8;
  config_.loop.eval_steps = 1;
  config_.loop.save_steps = 1;
  config_.learning_rate = 3e-2;  // so high that the held-out loss soon rises
  const SftResult result = Train({});
  std::vector<int64_t> expected = {7, 8};
  if (result.best_step > 0 && result.best_step < 7)
    expected.insert(expected.begin(), result.best_step);
  EXPECT_EQ(CheckpointSteps(), expected);
  const Json state =
      ParseJson(ReadFile(config_.loop.output_dir + "/checkpoint-8/trainer_state.json"), "state");
  EXPECT_EQ(state["global_step"], 8);
  EXPECT_EQ(state["best_global_step"], result.best_step);
  // A run that goes back drops the checkpoints of the future it gave up, once it has a new one.
  config_.loop.resume_from = CheckpointDir(config_.loop.output_dir, 7);
  config_.loop.max_steps = 7;
  EXPECT_EQ(Train({}).steps_here, 0);
}

TEST_F(Sft, StopsEarlyAndKeepsTheBest) {
  heldout_ = std::vector<Example>(train_.begin(), train_.begin() + 2);
  train_ = RandomExamples(8, 90, "other");  // unrelated data, so that the held-out loss rises
  for (Example& example : train_) example.weights.back() = 1;
  config_.loop.max_steps = 60;
  config_.loop.eval_steps = 2;
  config_.early_stopping_patience = 3;
  config_.load_best_model_at_end = true;
  config_.learning_rate = 2e-2;
  const SftResult result = Train({});
  EXPECT_TRUE(result.stopped_early);
  EXPECT_EQ(result.steps, result.best_step + 6);
  EXPECT_EQ(result.holds_best, result.best_step > 0);
  if (result.holds_best) {
    EXPECT_TRUE(ReadFile(config_.loop.output_dir + "/adapter_model.safetensors") ==
                ReadFile(CheckpointDir(config_.loop.output_dir, result.best_step) +
                         "/adapter_model.safetensors"));
  }
}

TEST_F(Sft, ALossThatIsNotFiniteNamesStepAndLayer) {
  config_.loop.max_steps = 3;
  Trainee trainee({});
  float* weight = trainee.model->weights().layers[1].sublayers[1].norm.weight.as<float>();
  weight[3] = std::numeric_limits<float>::quiet_NaN();
  try {
    TrainSft(*trainee.run, train_, {}, config_, {});
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kDiverged);
    EXPECT_THAT(e.what(), HasSubstr("step 1: the loss is not finite"));
    EXPECT_THAT(e.what(), HasSubstr("model.layers.1"));
  }
  EXPECT_TRUE(CheckpointSteps().empty());
}

TEST_F(Sft, ADivergingLossStopsTheRunAndSparesTheGoodCheckpoint) {
  heldout_.clear();
  config_.loop.max_steps = 40;
  config_.loop.save_steps = 1;
  config_.schedule = ScheduleKind::kLinear;
  config_.warmup_steps = 1000;  // 0, 0.1, 0.2, ...: good at first
  config_.learning_rate = 100;
  const std::string error = ErrorOf({.method = Method::kFull});
  EXPECT_EQ(code_, ErrorCode::kDiverged) << error;
  EXPECT_THAT(error, HasSubstr("worse than guessing"));
  EXPECT_THAT(error, HasSubstr("model."));
  EXPECT_THAT(error, HasSubstr("learning_rate"));
  EXPECT_FALSE(fs::exists(config_.loop.output_dir + "/model.safetensors"));
  const size_t at = error.find("/checkpoint-");
  ASSERT_NE(at, std::string::npos) << error;
  RequireComplete(config_.loop.output_dir + error.substr(at));
}

TEST_F(Sft, TextFilesGoIntoEveryFolder) {
  config_.loop.max_steps = 1;
  SftHooks hooks;
  hooks.loop.save_text_files = [](const std::string& dir) {
    WriteFileAtomically(dir + "/tokenizer.json", "{}");
  };
  Train({}, hooks);
  EXPECT_TRUE(fs::exists(config_.loop.output_dir + "/tokenizer.json"));
  EXPECT_TRUE(fs::exists(CheckpointDir(config_.loop.output_dir, 1) + "/tokenizer.json"));
}

}  // namespace
}  // namespace lorikeet
