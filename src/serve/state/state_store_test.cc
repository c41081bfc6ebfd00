#include "serve/state/state_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <barrier>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "core/checksum.h"
#include "core/file.h"
#include "core/temporary_folder_for_test.h"
#include "serve/state/database.h"
#include "serve/state/state_store_for_test.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class StateStoreTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_{"state_store"};
  const std::string dir_ = folder_ / "parent/state";
};

TEST_F(StateStoreTest, IsForThisUserAlone) {
  const StateStore store(dir_ + "/");
  EXPECT_EQ(store.dir(), dir_);
  EXPECT_THAT(store.findings(), IsEmpty());
  for (const char* name : {"", "/files", "/jobs", "/adapters"}) {
    struct stat info {};
    ASSERT_EQ(stat((dir_ + name).c_str(), &info), 0) << name;
    EXPECT_EQ(info.st_mode & 07777, 0700u) << name;
  }
}

TEST_F(StateStoreTest, AFileComesBackAsItWasAdded) {
  StoredFile added;
  {
    StateStore store(dir_);
    BlobWriter blob = store.NewBlob();
    blob.Write("{\"messages\"");
    blob.Write(": []}\n");
    added = store.AddFile(std::move(blob), {.id = "file-of-the-caller",
                                            .filename = "../../etc/größe.jsonl",
                                            .purpose = "fine-tune",
                                            .bytes = 99,
                                            .expires_at = 1'900'000'000,
                                            .owner = "key-1"});
  }
  StateStore store(dir_);
  const std::optional<StoredFile> file = store.GetFile(added.id);
  ASSERT_TRUE(file);
  EXPECT_TRUE(IsId(IdKind::kFile, file->id));
  EXPECT_EQ(file->filename, "../../etc/größe.jsonl");
  EXPECT_EQ(file->purpose, "fine-tune");
  EXPECT_EQ(file->bytes, 17);
  EXPECT_EQ(file->crc32c, Crc32c("{\"messages\": []}\n"));
  EXPECT_EQ(file->created_at, added.created_at);
  EXPECT_GT(file->created_at, 1'600'000'000);
  EXPECT_EQ(file->expires_at, 1'900'000'000);
  EXPECT_EQ(file->status, FileStatus::kUploaded);
  EXPECT_EQ(file->status_details, std::nullopt);
  EXPECT_EQ(file->owner, "key-1");
  EXPECT_EQ(ContentOf(store, added.id), "{\"messages\": []}\n");
  EXPECT_TRUE(store.SetFileStatus(added.id, FileStatus::kError, "line 1: no messages"));
  EXPECT_EQ(store.GetFile(added.id)->status, FileStatus::kError);
  EXPECT_EQ(store.GetFile(added.id)->status_details, "line 1: no messages");
  EXPECT_FALSE(store.SetFileStatus(NewId(IdKind::kFile), FileStatus::kProcessed));
}

TEST_F(StateStoreTest, NamesMustBeShortLinesOfText) {
  StateStore store(dir_);
  for (const std::string& name : {std::string(), std::string("a\0b", 3), std::string("a\nb"),
                                  std::string("\xff"), std::string(1025, 'a')}) {
    const auto [code, message] = ErrorFrom([&] { AddContent(store, "x", name); });
    EXPECT_EQ(code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(message, StartsWith("filename: must be 1 to 1024 bytes"));
    StoredJob job = QueuedJob();
    job.suffix = name + std::string(name.empty() ? 0 : 512, 'a');
    EXPECT_EQ(ErrorFrom([&] { store.AddJob(job); }).first, ErrorCode::kInvalidArgument);
  }
  EXPECT_TRUE(fs::is_empty(dir_ + "/files"));
  EXPECT_THAT(store.ListFiles({}).data, IsEmpty());
}

TEST_F(StateStoreTest, DeletedAndExpiredFilesAreGone) {
  StateStore store(dir_);
  const std::string kept = AddContent(store, "a").id, deleted = AddContent(store, "b").id;
  BlobWriter blob = store.NewBlob();
  const StoredFile expiring =
      store.AddFile(std::move(blob), {.filename = "c", .purpose = "batch", .expires_at = 1000});
  EXPECT_TRUE(store.DeleteFile(deleted));
  EXPECT_FALSE(store.DeleteFile(deleted));
  EXPECT_EQ(store.DeleteExpiredFiles(999), 0);
  EXPECT_EQ(store.DeleteExpiredFiles(1000), 1);
  EXPECT_FALSE(store.GetFile(deleted));
  EXPECT_FALSE(store.GetFile(expiring.id));
  EXPECT_THROW(store.OpenBlob(deleted), Error);
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_ + "/files"), {}), 1);
  EXPECT_EQ(ContentOf(store, kept), "a");
}

TEST_F(StateStoreTest, TextsThatAreNoIdsAreUnknown) {
  StateStore store(dir_);
  const std::string id = AddContent(store, "x").id;
  const std::string job = store.AddJob(QueuedJob()).id;
  for (const std::string& text :
       {std::string("../state.sqlite"), std::string("../../etc/passwd"), std::string("/etc/passwd"),
        id + std::string(1, '\0'), id + "/../" + id, std::string(1 << 20, 'a'),
        std::string("' OR 1 = 1 --"), std::string("%"), std::string()}) {
    EXPECT_FALSE(store.GetFile(text));
    EXPECT_FALSE(store.DeleteFile(text));
    EXPECT_FALSE(store.GetJob(text));
    EXPECT_FALSE(store.DeleteJob(text));
    EXPECT_FALSE(store.UpdateJob(text, {.trained_tokens = 1}));
    EXPECT_FALSE(store.Transition(text, {JobStatus::kQueued}, JobStatus::kRunning));
    for (const auto& [code, message] :
         {ErrorFrom([&] { store.OpenBlob(text); }), ErrorFrom([&] { store.FilePath(text); }),
          ErrorFrom([&] { store.JobDir(text); }), ErrorFrom([&] { store.AdapterDir(text); })}) {
      EXPECT_EQ(code, ErrorCode::kNotFound);
      EXPECT_LT(message.size(), 200u);
    }
    if (!text.empty()) {
      EXPECT_EQ(ErrorFrom([&] { store.ListFiles({.after = text}); }).first, ErrorCode::kNotFound);
    }
  }
  EXPECT_TRUE(fs::exists(dir_ + "/state.sqlite"));
  EXPECT_EQ(store.JobDir(job), dir_ + "/jobs/" + job);
  EXPECT_EQ(store.AdapterDir(job), dir_ + "/adapters/" + job);
  EXPECT_EQ(store.GetJob(job)->status, JobStatus::kQueued);
}

TEST_F(StateStoreTest, ALinkInFilesIsNeitherOpenedNorFollowed) {
  std::ofstream(folder_ / "secret") << "secret";
  std::string id;
  {
    StateStore store(dir_);
    id = AddContent(store, "public").id;
    fs::remove(store.FilePath(id));
    fs::create_symlink(folder_ / "secret", store.FilePath(id));
    EXPECT_EQ(ErrorFrom([&] { store.OpenBlob(id); }).first, ErrorCode::kNotFound);
  }
  StateStore store(dir_);  // "secret" and "public" are of the same size
  EXPECT_EQ(store.GetFile(id)->status, FileStatus::kError);
  EXPECT_TRUE(store.DeleteFile(id));
  EXPECT_EQ(ReadFile(folder_ / "secret"), "secret");
}

StoredJob FullJob() {
  return {.finished_at = 7,
          .estimated_finish = 8,
          .status = JobStatus::kFailed,
          .model = "tiny",
          .fine_tuned_model = "ft:tiny:mine:abc",
          .suffix = "mine",
          .training_file = "file-a",
          .validation_file = "file-b",
          .hyperparameters = {{"n_epochs", "auto"}, {"batch_size", 4}},
          .method = {{"type", "supervised"}},
          .seed = -5,
          .trained_tokens = 123,
          .error = JobError{.code = "bad", .message = "line\xff", .param = "training_file"},
          .result_files = {"file-r", "file-s"},
          .metadata = {{"team", "birds"}},
          .integrations = Json::array(),
          .settings = {{"model", "tiny"}, {"rank", 8}},
          .owner = "key-1"};
}

TEST_F(StateStoreTest, AJobComesBackAsItWasAdded) {
  std::string full, plain;
  {
    StateStore store(dir_);
    full = store.AddJob(FullJob()).id;
    plain = store.AddJob({.model = "m", .training_file = "f"}).id;
  }
  const StateStore store(dir_);
  const StoredJob job = store.GetJob(full).value(), other = store.GetJob(plain).value();
  const StoredJob expected = FullJob();
  EXPECT_EQ(job.id, full);
  EXPECT_EQ(job.finished_at, 7);
  EXPECT_EQ(job.estimated_finish, 8);
  EXPECT_EQ(job.status, JobStatus::kFailed);
  EXPECT_EQ(job.fine_tuned_model, "ft:tiny:mine:abc");
  EXPECT_EQ(job.suffix, "mine");
  EXPECT_EQ(job.validation_file, "file-b");
  EXPECT_EQ(job.hyperparameters, expected.hyperparameters);
  EXPECT_EQ(job.method, expected.method);
  EXPECT_EQ(job.seed, -5);
  EXPECT_EQ(job.trained_tokens, 123);
  ASSERT_TRUE(job.error);
  EXPECT_EQ(job.error->code, "bad");
  EXPECT_EQ(job.error->message, "line\uFFFD");
  EXPECT_EQ(job.error->param, "training_file");
  EXPECT_THAT(job.result_files, ElementsAre("file-r", "file-s"));
  EXPECT_EQ(job.metadata, expected.metadata);
  EXPECT_EQ(job.integrations, Json::array());
  EXPECT_EQ(job.settings, expected.settings);
  EXPECT_EQ(job.owner, "key-1");
  EXPECT_EQ(other.status, JobStatus::kValidatingFiles);
  EXPECT_GT(other.created_at, 1'600'000'000);
  EXPECT_FALSE(other.finished_at || other.fine_tuned_model || other.suffix || other.error ||
               other.validation_file || other.trained_tokens || other.estimated_finish);
  EXPECT_TRUE(other.metadata.is_null() && other.method.is_null() && other.settings.is_null());
  EXPECT_THAT(other.result_files, IsEmpty());
}

TEST_F(StateStoreTest, EveryStatusHasItsName) {
  for (const char* name :
       {"validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled"}) {
    EXPECT_EQ(NameOf(JobStatusNamed(name, "here")), name);
  }
  const auto [code, message] = ErrorFrom([] { JobStatusNamed("done", "here"); });
  EXPECT_EQ(code, ErrorCode::kCorruptFile);
  EXPECT_THAT(message, AllOf(StartsWith("here: "), HasSubstr("'done'")));
}

TEST_F(StateStoreTest, ATransitionNeedsOneOfItsStatuses) {
  StateStore store(dir_);
  const std::string id = store.AddJob(QueuedJob()).id;
  EXPECT_FALSE(store.Transition(id, {JobStatus::kRunning, JobStatus::kPaused},
                                JobStatus::kSucceeded, {.trained_tokens = 9}));
  EXPECT_EQ(store.GetJob(id)->trained_tokens, std::nullopt);
  EXPECT_FALSE(store.Transition(id, {}, JobStatus::kRunning));
  EXPECT_TRUE(store.Transition(id, {JobStatus::kPaused, JobStatus::kQueued}, JobStatus::kRunning,
                               {.estimated_finish = 77}));
  EXPECT_EQ(store.GetJob(id)->estimated_finish, 77);
  EXPECT_EQ(store.GetJob(id)->finished_at, std::nullopt);
  EXPECT_TRUE(store.UpdateJob(id, {.trained_tokens = 5, .settings = Json{{"rank", 4}}}));
  EXPECT_TRUE(store.Transition(id, {JobStatus::kRunning}, JobStatus::kFailed,
                               {.error = JobError{.code = "c", .message = "m"}}));
  StoredJob job = store.GetJob(id).value();
  EXPECT_EQ(job.trained_tokens, 5);
  EXPECT_EQ(job.settings, (Json{{"rank", 4}}));
  EXPECT_EQ(job.estimated_finish, std::nullopt);
  EXPECT_GE(job.finished_at.value_or(0), job.created_at);
  EXPECT_EQ(job.error->message, "m");
  EXPECT_TRUE(store.Transition(id, {JobStatus::kFailed}, JobStatus::kQueued));
  EXPECT_EQ(store.GetJob(id)->finished_at, std::nullopt);
}

// A job that succeeds gets its adapter, its event and its status together.
TEST_F(StateStoreTest, AnUpdateIsAllOrNothing) {
  StateStore store(dir_);
  const std::string id = store.AddJob(QueuedJob()).id;
  const StoredAdapter adapter{.name = "ft:tiny::1", .path = store.AdapterDir(id), .base = "tiny"};
  store.AddAdapter({.name = "taken", .path = "/a", .base = "tiny"});
  StoredAdapter taken = adapter;
  taken.name = "taken";
  const auto [code, message] = ErrorFrom([&] {
    store.Transition(id, {JobStatus::kQueued}, JobStatus::kSucceeded,
                     {.events = {{.message = "done"}}, .adapters = {adapter, taken}});
  });
  EXPECT_EQ(code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(message, AllOf(HasSubstr("adapter 'taken'"), HasSubstr("choose another name")));
  EXPECT_EQ(store.GetJob(id)->status, JobStatus::kQueued);
  EXPECT_FALSE(store.GetAdapter("ft:tiny::1"));
  EXPECT_THAT(store.ListEvents(id, {}).data, IsEmpty());
  EXPECT_TRUE(store.Transition(id, {JobStatus::kQueued}, JobStatus::kSucceeded,
                               {.fine_tuned_model = "ft:tiny::1",
                                .result_files = std::vector<std::string>{"file-r"},
                                .events = {{.message = "done"}},
                                .adapters = {adapter}}));
  EXPECT_EQ(store.GetAdapter("ft:tiny::1")->job, id);
  EXPECT_THAT(store.GetJob(id)->result_files, ElementsAre("file-r"));
  EXPECT_EQ(store.ListEvents(id, {}).data.at(0).message, "done");
  EXPECT_EQ(store.ListEvents(id, {}).data.at(0).job, id);
}

TEST_F(StateStoreTest, OfManyThreadsOneTransitionWins) {
  constexpr int kThreads = 4, kJobs = 20;
  StateStore store(dir_);
  std::vector<std::string> ids;
  for (int i = 0; i < kJobs; ++i) ids.push_back(store.AddJob(QueuedJob()).id);
  std::vector<std::atomic<int>> wins(kJobs);
  std::barrier start(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      start.arrive_and_wait();
      for (size_t i = 0; i < ids.size(); ++i) {
        const JobUpdate update{.trained_tokens = t, .events = {{.message = std::to_string(t)}}};
        if (store.Transition(ids[i], {JobStatus::kQueued}, JobStatus::kRunning, update)) ++wins[i];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(wins[i], 1);
    const std::vector<JobEvent> events = store.ListEvents(ids[i], {}).data;
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].message, std::to_string(store.GetJob(ids[i])->trained_tokens.value()));
  }
}

TEST_F(StateStoreTest, EventsBelongToTheirJob) {
  StateStore store(dir_);
  const std::string id = store.AddJob(QueuedJob()).id, other = store.AddJob(QueuedJob()).id;
  const JobEvent added = store.AddEvent({.job = id,
                                         .level = EventLevel::kWarn,
                                         .type = EventType::kMetrics,
                                         .message = "Step 1\x1b[2J: loss\xff",
                                         .data = {{"train_loss", 2.5}}});
  store.AddEvents({{.job = other, .message = "a"}, {.job = other, .message = "b"}});
  const Page<JobEvent> page = store.ListEvents(id, {});
  ASSERT_EQ(page.data.size(), 1u);
  EXPECT_EQ(page.data[0].id, added.id);
  EXPECT_EQ(page.data[0].level, EventLevel::kWarn);
  EXPECT_EQ(page.data[0].type, EventType::kMetrics);
  EXPECT_EQ(page.data[0].message, "Step 1\\x1b[2J: loss\uFFFD");
  EXPECT_EQ(page.data[0].data, (Json{{"train_loss", 2.5}}));
  const std::string of_other = store.ListEvents(other, {}).data.at(0).id;
  EXPECT_EQ(ErrorFrom([&] { store.ListEvents(id, {.after = of_other}); }).first,
            ErrorCode::kNotFound);
  const std::string missing = NewId(IdKind::kJob);
  EXPECT_EQ(ErrorFrom([&] { store.AddEvent({.job = missing}); }).first, ErrorCode::kNotFound);
  EXPECT_EQ(ErrorFrom([&] {
              store.AddEvents({{.job = id, .message = "first"}, {.job = missing}});
            }).first,
            ErrorCode::kNotFound);
  EXPECT_EQ(store.ListEvents(id, {}).data.size(), 1u);
}

TEST_F(StateStoreTest, AStepHasOneCheckpoint) {
  StateStore store(dir_);
  const std::string id = store.AddJob(QueuedJob()).id;
  const StoredAdapter adapter{.name = "ft:tiny::1:ckpt-step-10", .path = "/a", .job = id};
  const JobCheckpoint first = store.AddCheckpoint({.job = id,
                                                   .step_number = 10,
                                                   .fine_tuned_model_checkpoint = adapter.name,
                                                   .metrics = {{"train_loss", 1.5}}},
                                                  adapter);
  const JobCheckpoint again = store.AddCheckpoint(
      {.job = id, .step_number = 10, .fine_tuned_model_checkpoint = "other"}, adapter);
  EXPECT_EQ(again.id, first.id);
  EXPECT_EQ(again.fine_tuned_model_checkpoint, adapter.name);
  EXPECT_EQ(again.metrics, first.metrics);
  const std::string given = NewId(IdKind::kCheckpoint);
  EXPECT_EQ(store.AddCheckpoint({.id = given, .job = id, .step_number = 20}).id, given);
  const Page<JobCheckpoint> page = store.ListCheckpoints(id, {});
  ASSERT_EQ(page.data.size(), 2u);
  EXPECT_EQ(page.data[0].step_number, 20);
  EXPECT_EQ(page.data[1].id, first.id);
  EXPECT_EQ(store.GetAdapter(adapter.name)->job, id);
  EXPECT_EQ(ErrorFrom([&] { store.AddCheckpoint({.job = NewId(IdKind::kJob)}); }).first,
            ErrorCode::kNotFound);
  EXPECT_EQ(ErrorFrom([&] { store.AddCheckpoint({.id = "../x", .job = id}); }).first,
            ErrorCode::kInvalidArgument);
}

TEST_F(StateStoreTest, ADeletedJobTakesItsEventsAlong) {
  StateStore store(dir_);
  const std::string id = store.AddJob(QueuedJob()).id;
  store.AddEvent({.job = id, .message = "a"});
  store.AddCheckpoint({.job = id}, StoredAdapter{.name = "n", .path = "/a", .job = id});
  EXPECT_TRUE(store.DeleteJob(id));
  EXPECT_FALSE(store.DeleteJob(id));
  EXPECT_THAT(store.ListEvents(id, {}).data, IsEmpty());
  EXPECT_THAT(store.ListCheckpoints(id, {}).data, IsEmpty());
  EXPECT_EQ(store.GetAdapter("n")->job, std::nullopt);
}

TEST_F(StateStoreTest, AdaptersMoveWithTheFolder) {
  {
    StateStore store(dir_);
    const std::string job = NewId(IdKind::kJob);
    store.AddAdapter({.name = "inside", .path = dir_ + "/adapters/x", .base = "b", .rank = 8});
    store.AddAdapter({.name = "outside", .path = "/srv/adapter", .base = "b"});
    EXPECT_EQ(store.GetAdapter("inside")->path, dir_ + "/adapters/x");
    EXPECT_EQ(ErrorFrom([&] { store.AddAdapter({.name = "inside", .path = "/y"}); }).first,
              ErrorCode::kInvalidArgument);
    EXPECT_EQ(ErrorFrom([&] { store.AddAdapter({.name = "a\nb", .path = "/y"}); }).first,
              ErrorCode::kInvalidArgument);
  }
  fs::rename(dir_, folder_ / "moved");
  StateStore store(folder_ / "moved");
  EXPECT_EQ(store.GetAdapter("inside")->path, folder_ / "moved/adapters/x");
  EXPECT_EQ(store.GetAdapter("inside")->rank, 8);
  const Page<StoredAdapter> page = store.ListAdapters({.limit = 1, .ascending = true});
  EXPECT_EQ(page.data.at(0).path, folder_ / "moved/adapters/x");
  EXPECT_TRUE(page.has_more);
  EXPECT_EQ(store.ListAdapters({.after = "inside", .ascending = true}).data.at(0).path,
            "/srv/adapter");
  EXPECT_TRUE(store.DeleteAdapter("outside"));
  EXPECT_FALSE(store.DeleteAdapter("outside"));
}

TEST_F(StateStoreTest, JobsThatHaveNotEndedAreResumedInOrder) {
  std::vector<std::string> expected;
  {
    StateStore store(dir_);
    for (const JobStatus status :
         {JobStatus::kRunning, JobStatus::kSucceeded, JobStatus::kPaused, JobStatus::kFailed,
          JobStatus::kQueued, JobStatus::kCancelled, JobStatus::kValidatingFiles}) {
      StoredJob job = QueuedJob();
      job.status = status;
      job.created_at = 1'700'000'000;  // all in one second
      const std::string id = store.AddJob(job).id;
      if (!HasEnded(status)) expected.push_back(id);
    }
  }
  const StateStore store(dir_);
  std::vector<std::string> resumed;
  for (const StoredJob& job : store.JobsToResume()) resumed.push_back(job.id);
  EXPECT_EQ(resumed, expected);
  EXPECT_EQ(resumed.size(), 4u);
}

}  // namespace
}  // namespace lorikeet
