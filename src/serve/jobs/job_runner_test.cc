// Fine-tuning jobs beside sampling: the bytes of `sft`, whatever stops them in between.
#include "serve/jobs/job_runner.h"

#include <gmock/gmock.h>

#include <functional>
#include <string>
#include <thread>

#include "core/file.h"
#include "core/temporary_folder_for_test.h"
#include "recipes/sft_job.h"
#include "rl/tiny_policy_for_test.h"
#include "serve/api_error.h"
#include "serve/jobs/job_settings.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;

class JobRunnerTest : public ::testing::Test {
 protected:
  JobRunnerTest() : model_(kTinyChat, "job_runner") {
    WriteFileAtomically(model_.path() + "/tokenizer.json", tiny_bundle::TokenizerJson({}).dump());
    const OrderedJson config = {
        {"bos_token", "<s>"}, {"eos_token", "<|im_end|>"}, {"chat_template", kChatMl}};
    WriteFileAtomically(model_.path() + "/tokenizer_config.json", config.dump());
    loaded_ = std::make_shared<const LoadedModel>(LoadModel(model_.path(), DType::kF32));
    for (int i = 0; i < 24; ++i) {
      data_ += OrderedJson{{"messages",
                            {{{"role", "user"}, {"content", "say " + std::to_string(i)}},
                             {{"role", "assistant"}, {"content", "abc"}}}}}
                   .dump() +
               "\n";
    }
  }

  // A server without HTTP: what a restart makes again.
  struct Process {
    Process(const JobRunnerTest& test, int running)
        : store(test.folder_ / "state"),
          models(test.loaded_, "tiny", {}),
          turns(TurnLimits{}),
          runner(
              store, models, turns,
              {.model = test.model_.path(), .dtype = "f32", .running = running, .save_steps = 3}) {}
    StateStore store;
    ServedModels models;
    EngineTurns turns;
    JobRunner runner;
  };

  StoredJob NewJob(StateStore& store, const std::string& content, int64_t epochs = 4) const {
    BlobWriter blob = store.NewBlob();
    blob.Write(content);
    StoredFile file;
    file.filename = "train.jsonl";
    file.purpose = "fine-tune";
    StoredJob job;
    job.model = "tiny";
    job.training_file = store.AddFile(std::move(blob), std::move(file)).id;
    job.seed = 7;
    JobSettings settings;
    settings.n_epochs = static_cast<double>(epochs);
    settings.batch_size = 4;
    settings.lora_r = 2;
    job.hyperparameters = settings.ToJson();
    job.suffix = "mine";
    return job;
  }

  static StoredJob WaitUntil(const StateStore& store, const std::string& id,
                             const std::function<bool(const StoredJob&)>& done) {
    while (true) {
      StoredJob job = *store.GetJob(id);
      if (done(job)) return job;
      std::this_thread::yield();
    }
  }
  static bool Ended(const StoredJob& job) { return HasEnded(job.status); }

  // The adapter that sft makes of the settings that a job left in its config.yaml.
  std::string SftBytes(const std::string& run_dir) const {
    SftOptions options;
    SetDefaults(options);
    const std::string yaml = run_dir + "/config.yaml", dir = folder_ / "again";
    std::vector<std::string> arguments = {"sft", "--config",    yaml,     "--output-dir",
                                          dir,   "--overwrite", "--quiet"};
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    EXPECT_TRUE(ParseCommandLine({.name = "sft", .summary = "", .epilog = ""},
                                 static_cast<int>(argv.size()), argv.data(), options));
    SftJob job = PrepareSft(options);
    const auto lock = BeginOutputDir(dir, true, job.text_files.back(), job.lock.has_value());
    TrainSft(*job.run, job.train.examples, job.heldout.examples, job.config, {});
    return ReadFile(dir + "/adapter_model.safetensors");
  }

  const TemporaryFolder folder_{"job_runner"};
  RandomModel model_;
  std::shared_ptr<const LoadedModel> loaded_;
  std::string data_;
};

TEST_F(JobRunnerTest, AJobGivesTheBytesOfSftAndIsServed) {
  Process process(*this, 1);
  const StoredJob created = process.runner.Create(NewJob(process.store, data_));
  EXPECT_EQ(created.status, JobStatus::kQueued);
  const StoredJob job = WaitUntil(process.store, created.id, Ended);
  ASSERT_EQ(job.status, JobStatus::kSucceeded) << (job.error ? job.error->message : "");
  ASSERT_TRUE(job.fine_tuned_model);
  EXPECT_THAT(*job.fine_tuned_model, testing::StartsWith("ft:tiny:mine:"));
  EXPECT_GT(job.trained_tokens.value_or(0), 0);
  const ServedModelPtr served = process.models.Find(*job.fine_tuned_model);
  ASSERT_NE(served, nullptr);
  EXPECT_EQ(ReadFile(served->root + "/adapter_model.safetensors"), SftBytes(served->root));

  const Page<JobEvent> events =
      process.store.ListEvents(job.id, {.limit = 1000, .ascending = true});
  std::string all;
  for (const JobEvent& event : events.data) all += event.message + "\n";
  EXPECT_THAT(all, HasSubstr("24 examples, 4 epochs, batch size 4"));
  EXPECT_THAT(all, HasSubstr("adapter of rank 2"));
  EXPECT_THAT(all, HasSubstr("learning rate"));
  EXPECT_THAT(all, HasSubstr("Step 24/24: training loss="));
  ASSERT_EQ(job.result_files.size(), 1U);
  const Blob csv = process.store.OpenBlob(job.result_files[0]);
  EXPECT_GT(csv.bytes(), 100);
  EXPECT_FALSE(process.store.ListCheckpoints(job.id, {}).data.empty());
}

TEST_F(JobRunnerTest, AStoppedServersJobsEndWithTheSameBytes) {
  std::string id;
  {
    Process process(*this, 1);
    id = process.runner.Create(NewJob(process.store, data_)).id;
    // Stopped in the middle of the steps.
    WaitUntil(process.store, id, [&](const StoredJob&) {
      return process.store.ListEvents(id, {.limit = 100}).data.size() > 9;
    });
  }
  Process process(*this, 1);
  const StoredJob job = WaitUntil(process.store, id, Ended);
  ASSERT_EQ(job.status, JobStatus::kSucceeded) << (job.error ? job.error->message : "");
  const ServedModelPtr served = process.models.Find(*job.fine_tuned_model);
  ASSERT_NE(served, nullptr);
  EXPECT_EQ(ReadFile(served->root + "/adapter_model.safetensors"), SftBytes(served->root));
}

TEST_F(JobRunnerTest, JobsArePausedResumedAndCancelled) {
  Process process(*this, 2);
  const std::string first = process.runner.Create(NewJob(process.store, data_, 200)).id;
  const std::string second = process.runner.Create(NewJob(process.store, data_, 2000)).id;
  const auto running = [](const StoredJob& job) { return job.status == JobStatus::kRunning; };
  WaitUntil(process.store, first, running);
  EXPECT_EQ(process.runner.Pause(first).status, JobStatus::kPaused);
  EXPECT_THROW(process.runner.Pause(first), ApiError);
  EXPECT_EQ(process.runner.Resume(first).status, JobStatus::kQueued);
  WaitUntil(process.store, second, running);
  EXPECT_EQ(process.runner.Cancel(second).status, JobStatus::kCancelled);
  EXPECT_THROW(process.runner.Cancel(second), ApiError);
  EXPECT_THROW(process.runner.Resume(second), ApiError);
  EXPECT_THROW(process.runner.Cancel("ftjob-none"), ApiError);
  WaitUntil(process.store, first, running);
  process.runner.Cancel(first);
  EXPECT_EQ(process.store.GetJob(first)->status, JobStatus::kCancelled);
  EXPECT_EQ(process.models.List().size(), 1U);
}

TEST_F(JobRunnerTest, DataThatCannotBeReadFailsTheJobWithItsLine) {
  Process process(*this, 1);
  const std::string id = process.runner.Create(NewJob(process.store, data_ + "{broken\n")).id;
  const StoredJob job = WaitUntil(process.store, id, Ended);
  EXPECT_EQ(job.status, JobStatus::kFailed);
  ASSERT_TRUE(job.error);
  EXPECT_EQ(job.error->code, "invalid_training_file");
  EXPECT_THAT(job.error->message, HasSubstr("train.jsonl:25"));
}

TEST_F(JobRunnerTest, AdaptersOfFinishedJobsAreServedAfterARestart) {
  std::string name;
  {
    Process process(*this, 1);
    const std::string id = process.runner.Create(NewJob(process.store, data_, 1)).id;
    const StoredJob job = WaitUntil(process.store, id, Ended);
    ASSERT_TRUE(job.fine_tuned_model) << (job.error ? job.error->message : "");
    name = *job.fine_tuned_model;
  }
  const Process process(*this, 1);
  EXPECT_NE(process.models.Find(name), nullptr);
  EXPECT_TRUE(process.runner.findings().empty());
}

TEST(JobSettings, AutoFollowsTheNumberOfExamples) {
  SftOptions options;
  SetDefaults(options);
  ModelConfig model;
  model.hidden_size = 64;
  const auto applied = [&](const OrderedJson& json, int64_t examples) {
    ApplyJobSettings(JobSettings::Read(json, "h"), examples, model, &options);
    return options.run;
  };
  EXPECT_EQ(applied({{"n_epochs", "auto"}, {"batch_size", "auto"}}, 10).steps.batch_size, 2);
  EXPECT_EQ(options.run.steps.num_train_epochs, 5);
  applied({}, 100000);
  EXPECT_EQ(options.run.steps.batch_size, 16);
  EXPECT_EQ(options.run.steps.num_train_epochs, 1);
  const double rule = *applied({{"n_epochs", 2}}, 1000).optimizer.learning_rate;
  const double doubled =
      *applied({{"n_epochs", 2}, {"learning_rate_multiplier", 2}}, 1000).optimizer.learning_rate;
  EXPECT_DOUBLE_EQ(doubled, 2 * rule);
  EXPECT_DOUBLE_EQ(*applied({{"learning_rate", 0.5}}, 10).optimizer.learning_rate, 0.5);
  EXPECT_THROW(JobSettings::Read({{"method", "full"}}, "h"), ApiError);
  EXPECT_THROW(JobSettings::Read({{"n_epoch", 1}}, "h"), ApiError);
  EXPECT_THROW(JobSettings::Read({{"learning_rate", 1}, {"learning_rate_multiplier", 2}}, "h"),
               ApiError);
}

}  // namespace
}  // namespace lorikeet
