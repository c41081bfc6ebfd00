// Kills, full disks, folders that cannot be used, and what they leave behind.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <set>
#include <sstream>

#include "core/checksum.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/random.h"
#include "core/temporary_folder_for_test.h"
#include "serve/state/database.h"
#include "serve/state/state_store.h"
#include "serve/state/state_store_for_test.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A process that runs `body` with a pipe to the test and then ends with status 0; 1 after an
// exception, whose text it sends.
class Child {
 public:
  explicit Child(const std::function<void(int pipe)>& body) {
    std::array<int, 2> ends{};
    EXPECT_EQ(pipe(ends.data()), 0);
    pid_ = fork();
    if (pid_ == 0) {
      close(ends[0]);
      _exit(Run(body, ends[1]));
    }
    close(ends[1]);
    fd_ = ends[0];
  }
  ~Child() {
    Kill();
    close(fd_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  // Waits up to `seconds` for more output; false if there is none by then or the child has ended.
  bool Read(double seconds) {
    pollfd waiting{.fd = fd_, .events = POLLIN, .revents = 0};
    const int ready = poll(&waiting, 1, static_cast<int>(seconds * 1e3));
    if (ready <= 0) return false;
    std::array<char, 4096> text{};
    const ssize_t got = read(fd_, text.data(), text.size());
    if (got <= 0) return false;
    output_.append(text.data(), static_cast<size_t>(got));
    return true;
  }
  const std::string& output() const { return output_; }
  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    Wait();
  }
  // Everything that it sent, and its exit status; -1 if it was killed.
  int Wait() {
    while (Read(60)) {
    }
    int status = 0;
    waitpid(std::exchange(pid_, 0), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  static int Run(const std::function<void(int pipe)>& body, int pipe) {
    try {
      body(pipe);
      return 0;
    } catch (const std::exception& error) {
      WriteAll(pipe, error.what(), std::strlen(error.what()), "pipe");
      return 1;
    }
  }
  pid_t pid_ = 0;
  int fd_ = -1;
  std::string output_;
};

void Send(int pipe, const std::string& line) {
  WriteAll(pipe, (line + "\n").data(), line.size() + 1, "pipe");
}

// One server's life, which a kill ends: it adds files, jobs, events and checkpoints, deletes files
// and moves jobs on, and acknowledges each change when the call has returned.
class Writer {
 public:
  Writer(const std::string& dir, uint64_t seed, int pipe)
      : store_(dir), random_(seed, "kills"), pipe_(pipe) {}

  [[noreturn]] void Run() {
    for (const StoredJob& job : store_.JobsToResume()) job_ = job.id;
    while (true) {
      if (job_.empty()) AddJob();
      switch (Below(6)) {
        case 0:
          AddFile();
          break;
        case 1:
          DeleteFile();
          break;
        case 2:
          AddEvents();
          break;
        case 3:
          AddCheckpoint();
          break;
        case 4:
          Advance();
          break;
        default:
          AddEvent();
      }
    }
  }

 private:
  uint64_t Below(uint64_t bound) { return random_.Below(next_++, bound); }
  void AddJob() {
    job_ = store_.AddJob(QueuedJob()).id;
    Send(pipe_, "job " + job_ + " 0");
  }
  void AddFile() {
    const std::string content(Below(200'000), static_cast<char>('a' + Below(26)));
    BlobWriter blob = store_.NewBlob();
    const std::string_view view = content;
    blob.Write(view.substr(0, view.size() / 2));
    blob.Write(view.substr(view.size() / 2));
    file_ = store_.AddFile(std::move(blob), {.filename = "a", .purpose = "b"}).id;
    Send(pipe_, "file " + file_ + " " + std::to_string(Crc32c(content)));
  }
  void DeleteFile() {
    if (file_.empty()) return;
    Send(pipe_, "deleting " + file_);
    store_.DeleteFile(file_);
    Send(pipe_, "deleted " + file_);
    file_.clear();
  }
  void AddEvent() {
    Send(pipe_, "event " + job_ + " " + store_.AddEvent({.job = job_, .message = "one"}).id);
  }
  void AddEvents() {  // the last of three names the other two
    const std::string key = NewId(IdKind::kEvent);
    store_.AddEvents({{.job = job_, .message = key},
                      {.job = job_, .message = key},
                      {.job = job_, .message = key}});
    Send(pipe_, "events " + job_ + " " + key);
  }
  void AddCheckpoint() {
    const std::string id = NewId(IdKind::kCheckpoint);
    const auto step = static_cast<int64_t>(Below(1 << 30));
    store_.AddCheckpoint({.id = id, .job = job_, .step_number = step},
                         StoredAdapter{.name = id, .path = "/a", .job = job_});
    Send(pipe_, "checkpoint " + job_ + " " + id);
  }
  // queued -> running -> succeeded, with an adapter named after the job
  void Advance() {
    const bool queued = store_.Transition(job_, {JobStatus::kQueued}, JobStatus::kRunning);
    if (queued) return Send(pipe_, "job " + job_ + " 1");
    store_.Transition(job_, {JobStatus::kRunning}, JobStatus::kSucceeded,
                      {.adapters = {{.name = job_, .path = "/a"}}});
    Send(pipe_, "job " + job_ + " 2");
    job_.clear();
  }

  StateStore store_;
  RandomStream random_;
  uint64_t next_ = 0;
  int pipe_;
  std::string job_, file_;
};

// Everything that was acknowledged by any of the writers.
struct Acknowledged {
  std::map<std::string, std::string> files;  // id -> CRC-32C
  std::set<std::string> deleting, deleted;   // ids
  std::map<std::string, int> jobs;           // id -> step: queued, running, succeeded
  std::map<std::string, std::set<std::string>> events, checkpoints;  // by job: ids or keys
  int changes = 0;

  void Take(const std::string& output) {
    std::istringstream lines(output);
    std::string line;
    while (std::getline(lines, line) && !lines.eof()) {
      std::istringstream words(line);
      std::string what, id, value;
      words >> what >> id >> value;
      if (what != "deleting") ++changes;
      if (what == "file") files[id] = value;
      if (what == "deleting") deleting.insert(id);
      if (what == "deleted") deleted.insert(id);
      if (what == "job") jobs[id] = std::stoi(value);
      if (what == "event" || what == "events") events[id].insert(value);
      if (what == "checkpoint") checkpoints[id].insert(value);
    }
  }
};

void CheckFiles(const StateStore& store, const Acknowledged& known) {
  std::set<std::string> stored;
  for (const StoredFile& file : store.ListFiles({.limit = 10'000}).data) {
    stored.insert(file.id);
    EXPECT_EQ(file.status, FileStatus::kUploaded) << file.id;
    const std::string content = ContentOf(store, file.id);
    EXPECT_EQ(file.bytes, static_cast<int64_t>(content.size()));
    EXPECT_EQ(file.crc32c, Crc32c(content));
    EXPECT_FALSE(known.deleted.contains(file.id));
  }
  for (const auto& [id, crc] : known.files) {
    const std::optional<StoredFile> file = store.GetFile(id);
    EXPECT_TRUE(file || known.deleting.contains(id)) << id;
    EXPECT_EQ(file ? std::to_string(file->crc32c) : crc, crc) << id;
  }
  for (const auto& entry : fs::directory_iterator(store.dir() + "/files")) {
    EXPECT_TRUE(stored.contains(entry.path().filename().string())) << entry.path();
  }
}

void CheckEvents(const StateStore& store, const std::string& job,
                 const std::set<std::string>& known) {
  std::map<std::string, int> of_key;
  std::set<std::string> found;
  for (const JobEvent& event : store.ListEvents(job, {.limit = 10'000}).data) {
    found.insert(event.id);
    found.insert(event.message);
    if (event.message != "one") ++of_key[event.message];
  }
  for (const auto& [key, count] : of_key) EXPECT_EQ(count, 3) << key;
  for (const std::string& id : known) EXPECT_TRUE(found.contains(id)) << job << " " << id;
}

void CheckJobs(const StateStore& store, const Acknowledged& known) {
  for (const auto& [id, step] : known.jobs) {
    const std::optional<StoredJob> job = store.GetJob(id);
    ASSERT_TRUE(job) << id;
    const int stored = job->status == JobStatus::kQueued    ? 0
                       : job->status == JobStatus::kRunning ? 1
                                                            : 2;
    EXPECT_GE(stored, step) << id;
    EXPECT_EQ(store.GetAdapter(id).has_value(), stored == 2) << id;
    EXPECT_EQ(job->finished_at.has_value(), stored == 2) << id;
    const auto events = known.events.find(id);
    CheckEvents(store, id, events == known.events.end() ? std::set<std::string>() : events->second);
    std::set<std::string> found;
    for (const auto& each : store.ListCheckpoints(id, {.limit = 10'000}).data) {
      found.insert(each.id);
      EXPECT_TRUE(store.GetAdapter(each.id)) << each.id;
    }
    const auto checkpoints = known.checkpoints.find(id);
    if (checkpoints == known.checkpoints.end()) continue;
    for (const std::string& each : checkpoints->second) EXPECT_TRUE(found.contains(each)) << each;
  }
}

// Kills `rounds` servers on one folder, each at a random moment from its start on.
void KillAndCheck(int rounds) {
  const TemporaryFolder folder("kills");
  const std::string dir = folder / "state";
  const RandomStream random(7, "moments");
  Acknowledged known;
  for (int round = 0; round < rounds; ++round) {
    const auto index = static_cast<uint64_t>(round) * 2;
    Child writer([&](int pipe) { Writer(dir, index, pipe).Run(); });
    const uint64_t lines = random.Below(index, 12);
    while (static_cast<uint64_t>(std::count(writer.output().begin(), writer.output().end(), '\n')) <
               lines &&
           writer.Read(60)) {
    }
    const double moment = Now() + random.Uniform(index + 1) * 0.01;
    while (Now() < moment) writer.Read(0);
    writer.Kill();
    known.Take(writer.output());
    const StateStore store(dir);
    for (const std::string& finding : store.findings()) {
      EXPECT_THAT(finding, HasSubstr("left by a server that was killed; removed"));
    }
    CheckFiles(store, known);
    CheckJobs(store, known);
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(known.changes, rounds);
}

TEST(StateStoreKills, NothingAcknowledgedIsLost) { KillAndCheck(12); }
TEST(SlowStateStoreKills, NothingAcknowledgedIsLostIn200Kills) { KillAndCheck(200); }

class StateStoreCrashTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_{"state_store_crash"};
  const std::string dir_ = folder_ / "state";
};

TEST_F(StateStoreCrashTest, LeftoversAreRemovedAndMissingContentIsMarked) {
  const std::string temporary = NewId(IdKind::kFile) + ".tmp", orphan = NewId(IdKind::kFile);
  std::string kept, lost, cut;
  {
    StateStore store(dir_);
    kept = AddContent(store, "kept").id;
    lost = AddContent(store, "lost", "lost.jsonl").id;
    cut = AddContent(store, "cut").id;
  }
  for (const std::string& name : {temporary, orphan, std::string("notes.txt")}) {
    std::ofstream(dir_ + "/files/" + name) << "x";
  }
  fs::rename(dir_ + "/files/" + lost, folder_ / "aside");
  fs::resize_file(dir_ + "/files/" + cut, 2);
  {
    const StateStore store(dir_);
    EXPECT_THAT(store.findings(), ::testing::UnorderedElementsAre(
                                      AllOf(HasSubstr(temporary), HasSubstr("removed")),
                                      AllOf(HasSubstr(orphan), HasSubstr("removed")),
                                      AllOf(HasSubstr(lost), HasSubstr("'lost.jsonl' is missing")),
                                      AllOf(HasSubstr(cut), HasSubstr("restore it"))));
    EXPECT_FALSE(fs::exists(dir_ + "/files/" + temporary));
    EXPECT_FALSE(fs::exists(dir_ + "/files/" + orphan));
    EXPECT_TRUE(fs::exists(dir_ + "/files/notes.txt"));
    for (const std::string& id : {lost, cut}) {
      EXPECT_EQ(store.GetFile(id)->status, FileStatus::kError);
      EXPECT_THAT(store.GetFile(id)->status_details.value_or(""), HasSubstr("missing"));
    }
    EXPECT_EQ(store.GetFile(kept)->status, FileStatus::kUploaded);
  }
  fs::rename(folder_ / "aside", dir_ + "/files/" + lost);
  const StateStore store(dir_);
  EXPECT_EQ(store.findings().size(), 1u);
  EXPECT_EQ(store.GetFile(lost)->status, FileStatus::kUploaded);
  EXPECT_EQ(store.GetFile(cut)->status, FileStatus::kError);
}

// A database that was moved away does not take the content of its files along.
TEST_F(StateStoreCrashTest, ANewDatabaseKeepsContent) {
  std::string id;
  {
    StateStore store(dir_);
    id = AddContent(store, "kept").id;
  }
  fs::remove(dir_ + "/state.sqlite");
  const StateStore store(dir_);
  EXPECT_THAT(store.findings(), ElementsAre(AllOf(HasSubstr(id), HasSubstr("left as it is"))));
  EXPECT_EQ(ReadFile(dir_ + "/files/" + id), "kept");
}

TEST_F(StateStoreCrashTest, AFolderHasOneServer) {
  Child other([&](int pipe) {
    const StateStore store(dir_);
    Send(pipe, "ready");
    while (true) pause();
  });
  ASSERT_TRUE(other.Read(60));
  const auto [code, message] = ErrorFrom([&] { StateStore store(dir_); });
  EXPECT_EQ(code, ErrorCode::kIo);
  EXPECT_THAT(message, AllOf(HasSubstr(dir_ + ": process " + std::to_string(other.pid())),
                             HasSubstr("choose another folder")));
  other.Kill();
  const StateStore store(dir_);
  EXPECT_THAT(ErrorFrom([&] { StateStore second(dir_); }).second,
              HasSubstr("process " + std::to_string(getpid())));
}

TEST_F(StateStoreCrashTest, ANewerOrDamagedDatabaseIsRefusedAndKept) {
  {
    StateStore store(dir_);
    AddContent(store, "kept");
  }
  const std::string path = dir_ + "/state.sqlite", whole = ReadFile(path);
  Database(path).RunAll("PRAGMA user_version = 1000");
  const auto [newer, newer_message] = ErrorFrom([&] { StateStore store(dir_); });
  EXPECT_EQ(newer, ErrorCode::kUnsupported);
  EXPECT_THAT(newer_message, AllOf(HasSubstr(path), HasSubstr("newer version")));
  WriteFileAtomically(path, "garbage" + whole.substr(7));
  const auto [damaged, damaged_message] = ErrorFrom([&] { StateStore store(dir_); });
  EXPECT_EQ(damaged, ErrorCode::kCorruptFile);
  EXPECT_THAT(damaged_message, AllOf(HasSubstr(path), HasSubstr("restore")));
  WriteFileAtomically(path, whole);
  EXPECT_EQ(StateStore(dir_).ListFiles({}).data.size(), 1u);
}

TEST_F(StateStoreCrashTest, APathThatIsNoFolderIsNamed) {
  std::ofstream(dir_) << "x";
  const auto [code, message] = ErrorFrom([&] { StateStore store(dir_); });
  EXPECT_EQ(code, ErrorCode::kIo);
  EXPECT_THAT(message, HasSubstr(dir_ + ": cannot create this folder"));
}

// Opens the store as a user who may not write; returns the message.
std::string MessageWithoutRights(const std::string& dir) {
  Child child([&](int pipe) {
    if (getuid() == 0 && setuid(65534) != 0) return Send(pipe, "cannot change the user");
    const StateStore store(dir);
    Send(pipe, "opened");
  });
  child.Wait();
  return child.output();
}

TEST_F(StateStoreCrashTest, AFolderWithoutRightsIsOneLine) {
  { StateStore store(dir_); }
  fs::permissions(dir_, fs::perms(0555));
  EXPECT_THAT(MessageWithoutRights(dir_), HasSubstr(dir_ + "/lock: cannot create: Permission"));
  fs::permissions(dir_, fs::perms(0777));
  fs::permissions(dir_ + "/state.sqlite", fs::perms(0444));
  EXPECT_THAT(MessageWithoutRights(dir_),
              AllOf(HasSubstr(dir_ + "/state.sqlite: cannot open for writing: Permission denied"),
                    HasSubstr("writable for this user")));
  fs::permissions(dir_, fs::perms(0700));
  fs::permissions(dir_ + "/state.sqlite", fs::perms(0600));
  EXPECT_THAT(StateStore(dir_).findings(), IsEmpty());
}

// Limits the size of files that this process writes, as a full disk would.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : signal_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, signal_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  void (*signal_)(int);
  rlimit before_{};
};

// Adds events until the disk is full; returns the message and counts what was stored.
std::string FillWithEvents(StateStore& store, const std::string& job, int* stored) {
  const std::string message(20'000, 'x');
  try {
    while (*stored < 10'000) {
      store.AddEvent({.job = job, .message = message});
      ++*stored;
    }
  } catch (const Error& error) {
    return error.what();
  }
  return "never full";
}

// Adds small files, whose content fits, until their rows do not.
std::string FillWithSmallFiles(StateStore& store) {
  try {
    for (int i = 0; i < 1000; ++i) AddContent(store, "small");
  } catch (const Error& error) {
    return error.what();
  }
  return "never full";
}

std::string FillWithAFile(StateStore& store) {
  try {
    AddContent(store, std::string(2 << 20, 'x'));
  } catch (const Error& error) {
    return error.what();
  }
  return "never full";
}

TEST_F(StateStoreCrashTest, WritesThatFailStoreNothingAndLaterOnesWork) {
  StateStore store(dir_);
  const std::string job = store.AddJob(QueuedJob()).id;
  int stored = 0;
  {
    const FileSizeLimit limit(1 << 20);
    EXPECT_THAT(FillWithEvents(store, job, &stored),
                AllOf(HasSubstr("state.sqlite: cannot read or write (File too large)"),
                      HasSubstr("nothing was stored")));
    EXPECT_THAT(FillWithAFile(store), HasSubstr("cannot write: File too large"));
    EXPECT_THAT(FillWithSmallFiles(store), HasSubstr("state.sqlite: cannot read or write"));
  }
  EXPECT_GT(stored, 5);
  EXPECT_EQ(store.ListEvents(job, {.limit = 10'000}).data.size(), static_cast<size_t>(stored));
  EXPECT_EQ(static_cast<size_t>(std::distance(fs::directory_iterator(dir_ + "/files"), {})),
            store.ListFiles({.limit = 10'000}).data.size());
  store.AddEvent({.job = job, .message = "after"});
  EXPECT_EQ(ContentOf(store, AddContent(store, "after").id), "after");
  EXPECT_EQ(store.ListEvents(job, {}).data.front().message, "after");
}

// On a small file system of its own. Prints what it finds to `pipe`.
void FillDisk(const std::string& dir, int pipe) {
  const bool own = unshare(CLONE_NEWNS) == 0 &&
                   mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                   mount("none", dir.c_str(), "tmpfs", 0, "size=2m") == 0;
  if (!own) return Send(pipe, "no mount");
  int stored = 0;
  std::string job;
  {
    StateStore store(dir + "/state");
    job = store.AddJob(QueuedJob()).id;
    Send(pipe, FillWithAFile(store));
    Send(pipe, FillWithEvents(store, job, &stored));
    Send(pipe, fs::is_empty(dir + "/state/files") ? "no leftovers" : "leftovers");
  }
  const StateStore store(dir + "/state");
  const bool all = store.ListEvents(job, {.limit = 10'000}).data.size() == size_t(stored);
  Send(pipe, all && stored > 5 ? "all there" : "some lost");
}

TEST_F(StateStoreCrashTest, AFullDiskIsOneLineAndLosesNothing) {
  Child child([&](int pipe) { FillDisk(folder_.path(), pipe); });
  const int status = child.Wait();
  if (child.output() == "no mount\n") GTEST_SKIP() << "needs the right to mount a tmpfs";
  EXPECT_EQ(status, 0);
  EXPECT_THAT(child.output(), HasSubstr("cannot write: No space left on device\n"));
  EXPECT_THAT(child.output(), AnyOf(HasSubstr("state.sqlite: disk full; nothing was stored"),
                                    HasSubstr("cannot read or write (No space left")));
  EXPECT_THAT(child.output(), HasSubstr("no leftovers\nall there\n"));
}

}  // namespace
}  // namespace lorikeet
