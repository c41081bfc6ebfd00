// TrainRl on a tiny model: learning from rewards alone, and resuming bit for bit.
#include "rl/rl_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/parallel.h"
#include "core/temporary_folder_for_test.h"
#include "rl/tiny_policy_for_test.h"
#include "train/checkpoint.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class Rl : public ::testing::Test {
 protected:
  void SetUp() override {
    // The model is too small to gain from more threads.
    SetNumThreads(1);
    config_.update.objective = GetObjective("importance_sampling");
    config_.groups_per_step = 4;
    config_.group_size = 4;
    config_.loop.max_steps = 4;
    config_.max_tokens = 6;
    config_.learning_rate = 5e-2;
    config_.loop.tensorboard = false;
    config_.settings = {{"task", "tiny"}};
    config_.loop.output_dir = Dir("out");
    hooks_.problem = [](int64_t index) { return TinyProblem(index); };
    hooks_.reward = RewardAscii;
  }
  void TearDown() override { SetNumThreads(threads_); }
  std::string Dir(const char* name) const { return root_ / name; }
  RlResult Train(Method method = Method::kLora) {
    TinyPolicy policy(method);
    config_.stop_tokens = policy.stop_tokens();
    return TrainRl(policy.run(), policy.generator(), policy.format(), config_, hooks_);
  }
  std::string ErrorOf() {
    try {
      Train();
    } catch (const Error& e) {
      code_ = e.code();
      return e.what();
    }
    return "no error";
  }
  std::string File(const std::string& name) const {
    return ReadFile(config_.loop.output_dir + "/" + name);
  }
  // The lines of metrics.jsonl that are, or are not, evaluations.
  std::vector<Json> Lines(bool evaluations) const {
    std::vector<Json> lines;
    std::istringstream file(File("metrics.jsonl"));
    for (std::string line; std::getline(file, line);) {
      Json json = Json::parse(line);
      if (json.contains("eval_accuracy") == evaluations) lines.push_back(std::move(json));
    }
    return lines;
  }
  std::vector<Json> Steps() const { return Lines(false); }
  std::vector<int64_t> EvaluatedSteps() const {
    std::vector<int64_t> steps;
    for (const Json& line : Lines(true)) steps.push_back(line["step"].get<int64_t>());
    return steps;
  }
  // All metrics except times.
  std::string Timeless() const {
    std::string text;
    for (const bool evaluations : {true, false}) {
      for (Json line : Lines(evaluations)) {
        for (const char* part : {"sampling", "training"}) {
          line.erase(std::string(part) + "_seconds");
          line.erase(std::string(part) + "/tokens_per_second");
        }
        text += line.dump() + "\n";
      }
    }
    return text;
  }
  void StopAfter(int64_t steps) {
    hooks_.loop.stop_requested = [this, steps] { return std::ssize(Steps()) >= steps; };
  }

  TemporaryFolder root_{"rl_loop_test"};
  RlConfig config_;
  RlHooks hooks_;
  ErrorCode code_ = ErrorCode::kIo;
  int threads_ = NumThreads();
};

TEST_F(Rl, LearnsFromRewardsAlone) {
  config_.loop.max_steps = 25;
  config_.groups_per_step = 8;
  for (const Method method : {Method::kLora, Method::kFull}) {
    config_.loop.output_dir = Dir(method == Method::kLora ? "lora" : "full");
    const RlResult result = Train(method);
    EXPECT_EQ(result.steps, 25);
    EXPECT_FALSE(result.interrupted);
    EXPECT_LT(result.first_reward, 0.6);
    EXPECT_GT(result.last_reward, result.first_reward + 0.2);
    EXPECT_EQ(result.largest_logp_difference, 0);
    EXPECT_EQ(result.samples, 25 * 8 * 4);
    EXPECT_EQ(result.checkpoint, CheckpointDir(config_.loop.output_dir, 25));
    int64_t tokens = 0;
    for (const Json& line : Steps()) {
      EXPECT_EQ(line["sampling/logp_difference_max"], 0) << line["step"];
      EXPECT_EQ(line["ratio/min"], 1) << line["step"];
      EXPECT_EQ(line["ratio/max"], 1) << line["step"];
      tokens += static_cast<int64_t>(line["completions/mean_length"].get<double>() * 32 + 0.5);
    }
    EXPECT_EQ(result.sampled_tokens, tokens);
  }
  EXPECT_TRUE(fs::exists(Dir("lora") + "/adapter_model.safetensors"));
  EXPECT_TRUE(fs::exists(Dir("full") + "/model.safetensors"));
}

TEST_F(Rl, EveryStepHasEveryFigureAndATranscript) {
  config_.loop.max_steps = 5;
  config_.base_kl_steps = 2;
  config_.eval_samples = 2;
  config_.loop.save_steps = 2;
  hooks_.heldout = {TinyProblem(100)};
  hooks_.problem = [](int64_t index) {
    Problem problem = TinyProblem(index);
    problem.task = index % 2 == 0 ? "even" : "odd";
    return problem;
  };
  Train();
  const std::vector<std::string> expected = {"step",
                                             "reward",
                                             "reward/even",
                                             "reward/odd",
                                             "accuracy",
                                             "frac_reward_zero_std",
                                             "advantage_entropy",
                                             "entropy",
                                             "completions/mean_length",
                                             "completions/max_length",
                                             "completions/clipped_ratio",
                                             "completions/invalid",
                                             "completions/runaway",
                                             "sampling/logp_difference_max",
                                             "sampling/kl",
                                             "sampling/rounds",
                                             "sampling/tokens",
                                             "training/tokens",
                                             "off_policy/updates",
                                             "off_policy/kl",
                                             "ratio/min",
                                             "ratio/mean",
                                             "ratio/max",
                                             "clip_ratio",
                                             "loss",
                                             "grad_norm",
                                             "learning_rate",
                                             "sampling_seconds",
                                             "training_seconds",
                                             "sampling/tokens_per_second",
                                             "training/tokens_per_second"};
  const std::vector<Json> steps = Steps();
  ASSERT_EQ(steps.size(), 5U);
  for (size_t i = 0; i < steps.size(); ++i) {
    EXPECT_EQ(steps[i]["step"], i + 1);
    for (const std::string& key : expected) {
      EXPECT_TRUE(steps[i].contains(key) && steps[i][key].is_number()) << key;
    }
    const bool measured = i % 2 == 0;
    EXPECT_EQ(steps[i].contains("kl"), measured) << i;
    EXPECT_EQ(steps[i].size(), expected.size() + (measured ? 1 : 0)) << steps[i];
    EXPECT_THAT(File("transcripts/step-00000" + std::to_string(i + 1) + ".txt"),
                HasSubstr("=== tiny-" + std::to_string(4 * i) + " "));
  }
  EXPECT_EQ(steps[0]["kl"], 0);
  EXPECT_GT(steps[2]["kl"], 0);
  for (const Json& line : Lines(true)) {
    std::set<std::string> keys;
    for (const auto& [key, value] : line.items()) keys.insert(key);
    EXPECT_EQ(keys, (std::set<std::string>{
                        "step", "eval_accuracy", "eval_reward", "eval_completions/mean_length",
                        "eval_completions/clipped_ratio", "eval_completions/invalid", "eval_pass@1",
                        "eval_pass@2"}));
  }
  std::vector<int64_t> checkpoints;
  for (const CheckpointRef& c : ListCheckpoints(config_.loop.output_dir))
    checkpoints.push_back(c.step);
  EXPECT_THAT(checkpoints, ElementsAre(4, 5));  // the last two of 2, 4 and 5
}

TEST_F(Rl, EvaluatesAtTheBeginningEveryFewStepsAndAtTheEnd) {
  config_.loop.max_steps = 5;
  hooks_.heldout = {TinyProblem(100), TinyProblem(101)};
  RlResult result = Train();
  EXPECT_THAT(EvaluatedSteps(), ElementsAre(0, 5));
  ASSERT_TRUE(result.before && result.after);
  EXPECT_EQ(result.before->reward, Lines(true)[0]["eval_reward"]);
  EXPECT_EQ(result.after->reward, Lines(true)[1]["eval_reward"]);
  EXPECT_NE(result.before->reward, result.after->reward);
  const std::string adapter = File("adapter_model.safetensors");
  config_.loop.eval_steps = 2;
  config_.loop.output_dir = Dir("often");
  Train();
  EXPECT_THAT(EvaluatedSteps(), ElementsAre(0, 2, 4, 5));
  EXPECT_TRUE(File("adapter_model.safetensors") == adapter);  // evaluation changes nothing
  hooks_.heldout.clear();
  config_.loop.output_dir = Dir("never");
  result = Train();
  EXPECT_FALSE(result.before || result.after);
  EXPECT_TRUE(EvaluatedSteps().empty());
}

// Rewards that leave many groups without signal: is the first byte below 0x60?
std::vector<Grade> RewardFirstByte(std::span<const RewardRequest> requests) {
  std::vector<Grade> grades;
  for (const RewardRequest& request : requests) {
    const bool low = !request.completion.empty() &&
                     static_cast<unsigned char>(request.completion.front()) < 0x60;
    grades.push_back(low ? Grade::Correct() : Grade::Wrong("no"));
  }
  return grades;
}

class RlResume : public Rl, public ::testing::WithParamInterface<Method> {
 protected:
  void SetUp() override {
    Rl::SetUp();
    config_.update.minibatches = 2;
    config_.update.passes = 2;
    config_.group_size = 3;
    config_.max_rounds = 3;
    config_.overlong_buffer = 2;
    config_.base_kl_steps = 2;
    config_.loop.max_steps = 7;
    config_.loop.eval_steps = 2;
    config_.eval_samples = 2;
    config_.loop.save_steps = 3;
    hooks_.heldout = {TinyProblem(100), TinyProblem(101)};
    hooks_.reward = RewardFirstByte;
    // Some problems are skipped, so the next index is not the number of groups sampled.
    hooks_.problem = [](int64_t index) {
      return TinyProblem(index, index % 5 == 3 ? "say something that is too long" : "say");
    };
    config_.max_prompt_tokens = 40;
  }
  static std::string Weights() {
    return GetParam() == Method::kLora ? "adapter_model.safetensors" : "model.safetensors";
  }
  std::vector<std::string> Bytes() const {
    std::vector<std::string> bytes = {Timeless()};
    for (const std::string& file : {Weights(), "checkpoint-7/" + Weights(),
                                    std::string("checkpoint-7/training_state.safetensors"),
                                    std::string("checkpoint-7/run_state.json"),
                                    std::string("checkpoint-7/trainer_state.json"),
                                    std::string("transcripts/step-000007.txt")}) {
      bytes.push_back(File(file));
    }
    return bytes;
  }
};

TEST_P(RlResume, EqualsUninterruptedBitForBit) {
  const RlResult whole = Train(GetParam());
  const std::vector<std::string> expected = Bytes();
  // The run covers replaced groups, several updates and skipped problems.
  double rounds = 0;
  for (const Json& line : Steps()) {
    rounds += line["sampling/rounds"].get<double>();
    EXPECT_EQ(line["sampling/logp_difference_max"], 0);
  }
  EXPECT_GT(rounds, 7);
  EXPECT_GT(Steps()[0]["off_policy/kl"], 0);
  EXPECT_GT(whole.skipped_problems, 3);
  // Stopped after step 2, where an evaluation is due, and after step 4, beyond a checkpoint.
  for (const int64_t stop : {2, 4}) {
    config_.loop.output_dir = Dir(stop == 2 ? "two" : "four");
    config_.loop.resume_from = "";
    StopAfter(stop);
    const RlResult cut = Train(GetParam());
    EXPECT_TRUE(cut.interrupted);
    EXPECT_EQ(cut.steps, stop);
    EXPECT_EQ(cut.checkpoint, CheckpointDir(config_.loop.output_dir, stop));
    EXPECT_FALSE(fs::exists(config_.loop.output_dir + "/" + Weights()));
    hooks_.loop.stop_requested = nullptr;
    config_.loop.resume_from = LatestCheckpoint(config_.loop.output_dir);
    const RlResult resumed = Train(GetParam());
    EXPECT_EQ(resumed.steps, 7);
    EXPECT_EQ(resumed.first_reward, whole.first_reward);
    EXPECT_EQ(resumed.last_reward, whole.last_reward);
    EXPECT_EQ(resumed.skipped_problems, whole.skipped_problems);
    ASSERT_TRUE(resumed.before && resumed.after);
    EXPECT_EQ(resumed.before->reward, whole.before->reward);  // restored, not evaluated again
    EXPECT_EQ(resumed.before->pass_at, whole.before->pass_at);
    EXPECT_EQ(resumed.after->reward, whole.after->reward);
    EXPECT_TRUE(Bytes() == expected) << "stopped after step " << stop;
    EXPECT_EQ(Timeless(), expected[0]);
  }
}

// A process killed between checkpoints leaves metrics and transcripts of later steps.
TEST_P(RlResume, AKillLosesOnlyStepsAfterTheLastCheckpoint) {
  Train(GetParam());
  const std::vector<std::string> expected = Bytes();
  fs::remove_all(CheckpointDir(config_.loop.output_dir, 7));
  fs::remove(config_.loop.output_dir + "/" + Weights());
  fs::create_directories(config_.loop.output_dir + "/checkpoint-7.tmp/half");
  config_.loop.resume_from = LatestCheckpoint(config_.loop.output_dir);
  EXPECT_EQ(config_.loop.resume_from, CheckpointDir(config_.loop.output_dir, 6));
  Train(GetParam());
  EXPECT_TRUE(Bytes() == expected);
  EXPECT_EQ(Timeless(), expected[0]);
  EXPECT_FALSE(fs::exists(config_.loop.output_dir + "/checkpoint-7.tmp"));
}

INSTANTIATE_TEST_SUITE_P(All, RlResume, ::testing::Values(Method::kLora, Method::kFull),
                         [](const auto& param) {
                           return param.param == Method::kLora ? "lora" : "full";
                         });

TEST_F(Rl, OneThreadOrTwoTheSameBytes) {
  std::vector<std::string> files;
  for (const int count : {1, 2}) {
    SetNumThreads(count);
    config_.loop.output_dir = Dir(count == 1 ? "one" : "two");
    config_.loop.max_steps = 2;
    Train();
    files.push_back(File("checkpoint-2/training_state.safetensors"));
  }
  EXPECT_TRUE(files[0] == files[1]);
}

TEST_F(Rl, AFinishedRunMayGoOnForLonger) {
  config_.loop.max_steps = 4;
  Train();
  const std::string whole = File("adapter_model.safetensors");
  config_.loop.output_dir = Dir("longer");
  config_.loop.max_steps = 2;
  Train();
  config_.loop.resume_from = LatestCheckpoint(config_.loop.output_dir);
  EXPECT_EQ(Train().steps, 2);  // already finished
  config_.loop.max_steps = 4;
  EXPECT_EQ(Train().steps, 4);
  EXPECT_TRUE(File("adapter_model.safetensors") == whole);
}

TEST_F(Rl, OtherSettingsCannotResume) {
  config_.loop.max_steps = 1;
  Train();
  config_.loop.resume_from = LatestCheckpoint(config_.loop.output_dir);
  const RlConfig same = config_;
  const auto refused = [&](const char* key) {
    const std::string error = ErrorOf();
    EXPECT_EQ(code_, ErrorCode::kInvalidArgument) << key;
    EXPECT_THAT(error, HasSubstr(std::string(": ") + key + " was "));
    EXPECT_THAT(error, HasSubstr("cannot resume from " + config_.loop.resume_from));
    EXPECT_THAT(error, Not(HasSubstr("\n")));
    config_ = same;
    code_ = ErrorCode::kIo;
  };
  refused((config_.settings["task"] = "other", "task"));
  // Options that do not change the numbers may differ.
  config_.loop.eval_steps = config_.loop.save_steps = config_.loop.save_total_limit = 1;
  EXPECT_EQ(ErrorOf(), "no error");
}

TEST_F(Rl, ACorruptStateIsOneClearError) {
  config_.loop.max_steps = 2;
  Train();
  config_.loop.resume_from = LatestCheckpoint(config_.loop.output_dir);
  const std::string path = config_.loop.resume_from + "/run_state.json";
  Json good = ParseJson(ReadFile(path), path);
  good.erase("crc32c");  // so that the changes below are seen, and not only that there are some
  // Those that older versions did not write.
  const std::set<std::string> optional = {"files", "metrics_lines", "initial_parameters", "signal"};
  const auto error_with = [&](const std::string& content) {
    WriteFileAtomically(path, content);
    std::string error = ErrorOf();
    EXPECT_THAT(error, HasSubstr("run_state.json")) << content;
    EXPECT_THAT(error, Not(HasSubstr("\n")));
    return error;
  };
  for (const char* text : {"", "{", "[]", "7", "{}", R"({"format": "two"})"}) {
    error_with(text);
    EXPECT_EQ(code_, ErrorCode::kCorruptFile) << text;
  }
  for (const auto& [key, value] : good.items()) {
    Json without = good, other = good;
    without.erase(key);
    other[key] = Json::array({"what"});
    if (!optional.contains(key)) {
      EXPECT_THAT(error_with(without.dump()), HasSubstr(key));
    }
    if (key != "settings") error_with(other.dump());
  }
  Json other = good;
  other["format"] = 1;
  EXPECT_THAT(error_with(other.dump()), HasSubstr("another version"));
  other = good;
  other["updates"] = 1;
  EXPECT_THAT(error_with(other.dump()), HasSubstr("1 updates, training_state.safetensors of 2"));
  WriteFileAtomically(path, good.dump());
  EXPECT_EQ(ErrorOf(), "no error");
}

// Problems with odd indices are long.
Problem LongWhenOdd(int64_t index) {
  return TinyProblem(index, index % 2 == 0 ? "say" : "say something that is too long");
}

TEST_F(Rl, TooLongPromptsAreSkippedAndCounted) {
  hooks_.problem = LongWhenOdd;
  config_.max_prompt_tokens = 40;
  config_.loop.max_steps = 2;
  char* printed = nullptr;
  size_t size = 0;
  std::FILE* out = open_memstream(&printed, &size);
  RlResult result;
  {
    Progress progress({.out = out, .mode = Progress::Mode::kPlain});
    hooks_.loop.progress = &progress;
    result = Train();
    hooks_.loop.progress = nullptr;
  }
  std::fclose(out);
  const std::string text(printed, size);
  std::free(printed);
  EXPECT_EQ(result.skipped_problems, 7);  // the odd ones of 0 to 14, in two steps of four groups
  EXPECT_EQ(result.samples, 2 * 4 * 4);
  for (int i = 0; i < 4; ++i) {
    EXPECT_THAT(File("transcripts/step-000002.txt"),
                HasSubstr("=== tiny-" + std::to_string(8 + 2 * i) + " "));
  }
  const size_t note = text.find("tiny-1: its prompt has ");
  ASSERT_NE(note, std::string::npos) << text;
  EXPECT_EQ(text.find("its prompt has", note + 20), std::string::npos) << "printed twice";
  EXPECT_THAT(text, HasSubstr("more than 40: skipped"));
}

TEST_F(Rl, WhereEveryPromptIsTooLongTheRunEnds) {
  config_.max_prompt_tokens = 3;
  EXPECT_THAT(ErrorOf(), HasSubstr("problems in a row have prompts of more than 3 tokens; raise"));
  EXPECT_EQ(code_, ErrorCode::kInvalidArgument);
}

// The first of a group's four completions is correct if the problem's index is even; all others are
// wrong.
std::vector<Grade> RewardEvenProblems(std::span<const RewardRequest> requests) {
  std::vector<Grade> grades;
  for (size_t i = 0; i < requests.size(); ++i) {
    const bool even = (requests[i].problem->id.back() - '0') % 2 == 0;
    grades.push_back(even && i % 4 == 0 ? Grade::Correct() : Grade::Wrong("no"));
  }
  return grades;
}

TEST_F(Rl, FurtherRoundsReplaceGroupsWithoutSignal) {
  hooks_.reward = RewardEvenProblems;
  config_.loop.max_steps = 2;
  config_.max_rounds = 5;
  RlResult result = Train();
  // Step 1 in rounds: 0 1 2 3 gives 0 and 2, 4 5 gives 4, 6 gives 6. Step 2: 7 8 9 10 gives 8 and
  // 10, 11 12 gives 12, 13 gives none, 14 gives 14.
  std::vector<Json> steps = Steps();
  EXPECT_EQ(steps[0]["sampling/rounds"], 3);
  EXPECT_NEAR(steps[0]["frac_reward_zero_std"].get<double>(), 3.0 / 7, 1e-12);
  EXPECT_EQ(steps[1]["sampling/rounds"], 4);
  EXPECT_EQ(steps[1]["frac_reward_zero_std"], 0.5);
  EXPECT_EQ(result.samples, (7 + 8) * 4);
  const std::string transcript = File("transcripts/step-000001.txt");
  size_t before = 0;  // groups with signal come first, both kinds in the order of sampling
  for (const int problem : {0, 2, 4, 6, 1, 3, 5}) {
    const size_t at = transcript.find("=== tiny-" + std::to_string(problem) + " ");
    ASSERT_NE(at, std::string::npos) << problem;
    EXPECT_GE(at, before) << problem;
    before = at;
  }

  config_.loop.output_dir = Dir("few");
  config_.max_rounds = 2;
  result = Train();
  EXPECT_EQ(Steps()[0]["sampling/rounds"], 2);  // stops with three groups to learn from
  EXPECT_EQ(Steps()[0]["off_policy/updates"], 1);
  EXPECT_EQ(result.samples, (6 + 6) * 4);

  config_.loop.output_dir = Dir("one");
  config_.max_rounds = 1;
  result = Train();
  EXPECT_EQ(Steps()[0]["sampling/rounds"], 1);
  EXPECT_EQ(Steps()[0]["frac_reward_zero_std"], 0.5);
  EXPECT_EQ(result.samples, 2 * 4 * 4);
}

TEST_F(Rl, WithoutAnySignalNothingIsLearned) {
  hooks_.reward = [](std::span<const RewardRequest> requests) {
    return std::vector<Grade>(requests.size(), Grade::Wrong("no"));
  };
  config_.max_rounds = 2;
  EXPECT_THAT(Train().nothing_learned, ::testing::AllOf(HasSubstr("nothing was learned in 4 steps"),
                                                        HasSubstr("no completion was correct")));
  EXPECT_EQ(Steps().size(), 4U);
  for (const Json& line : Steps()) {
    EXPECT_EQ(line["off_policy/updates"], 0);
    EXPECT_EQ(line["frac_reward_zero_std"], 1);
  }
  std::filesystem::create_directories(Dir("fresh"));
  TinyPolicy().run().SaveWeights(Dir("fresh"));
  EXPECT_TRUE(ReadFile(Dir("fresh") + "/adapter_model.safetensors") ==
              File("adapter_model.safetensors"));
  // A run without updates can be resumed.
  config_.loop.resume_from = LatestCheckpoint(config_.loop.output_dir);
  config_.loop.max_steps = 5;
  EXPECT_THAT(Train().nothing_learned, HasSubstr("nothing was learned in 5 steps"));
  hooks_.reward = RewardAscii;
  config_.loop.max_steps = 6;
  EXPECT_EQ(Train().steps, 6);
}

TEST_F(Rl, RewardsThatAreAllRefusedForOneReasonEndTheRun) {
  int batches = 0;
  bool one_is_right = false;
  hooks_.reward = [&](std::span<const RewardRequest> requests) {
    ++batches;
    Grade refused = Grade::Invalid("a reply without a finite reward: '0.5'");
    refused.refusal = "its reward is text, not a number";
    std::vector<Grade> grades(requests.size(), refused);
    if (one_is_right) grades.back() = Grade::Correct();
    return grades;
  };
  EXPECT_THAT(ErrorOf(),
              ::testing::AllOf(HasSubstr("no reward of the first batch of 16 completions"),
                               HasSubstr("its reward is text, not a number"), HasSubstr("'0.5'"),
                               HasSubstr("give the same command with --resume")));
  EXPECT_EQ(batches, 1);
  one_is_right =
      true;  // a single usable one, and it goes on; these have nothing to be compared with
  EXPECT_THAT(Train().nothing_learned, HasSubstr("nothing was learned in 4 steps"));
  EXPECT_EQ(batches, 1 + 4);
}

TEST_F(Rl, AStopDuringARewardGivesUpTheStepAndRepeatsIt) {
  Train();
  const std::string whole = File("adapter_model.safetensors");
  config_.loop.output_dir = Dir("stopped");
  int batches = 0;
  bool stop = false;
  hooks_.reward = [&](std::span<const RewardRequest> requests) {
    if (++batches < 3) return RewardAscii(requests);
    stop = true;  // the user does not wait for the reward
    return std::vector<Grade>(requests.size(), Grade::Invalid("the run was stopped"));
  };
  hooks_.loop.stop_requested = [&stop] { return stop; };
  const RlResult stopped = Train();
  EXPECT_TRUE(stopped.interrupted);
  EXPECT_EQ(stopped.steps, 2);
  EXPECT_EQ(Steps().size(), 2U);
  stop = false;
  hooks_.reward = RewardAscii;
  config_.loop.resume_from = stopped.checkpoint;
  EXPECT_EQ(Train().steps, 4);
  EXPECT_TRUE(File("adapter_model.safetensors") == whole);
}

TEST_F(Rl, StoppedBeforeTheFirstStepThereIsNoCheckpoint) {
  StopAfter(0);
  hooks_.heldout = {TinyProblem(100)};
  const RlResult result = Train();
  EXPECT_TRUE(result.interrupted);
  EXPECT_EQ(result.steps, 0);
  EXPECT_EQ(result.checkpoint, "");
  EXPECT_TRUE(ListCheckpoints(config_.loop.output_dir).empty());
  EXPECT_FALSE(fs::exists(config_.loop.output_dir + "/adapter_model.safetensors"));
}

TEST_F(Rl, TextFilesGoIntoEveryFolder) {
  config_.loop.max_steps = 1;
  hooks_.loop.save_text_files = [](const std::string& dir) {
    WriteFileAtomically(dir + "/tokenizer.json", "{}");
  };
  Train();
  EXPECT_TRUE(fs::exists(config_.loop.output_dir + "/tokenizer.json"));
  EXPECT_TRUE(fs::exists(CheckpointDir(config_.loop.output_dir, 1) + "/tokenizer.json"));
}

}  // namespace
}  // namespace lorikeet
