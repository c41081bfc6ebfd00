// One folder is for one run at a time, and a run that learns nothing fails.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "cli/command_for_test.h"
#include "cli/commands.h"
#include "core/file.h"
#include "core/folder_lock.h"
#include "core/threads_scope_for_test.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class OutputFolder : public ::testing::Test {
 protected:
  OutputFolder() {
    std::string rows;
    for (int i = 0; i < 6; ++i) {
      Json row;
      for (int t = 0; t < 9; ++t) row["tokens"].push_back((7 * i * i + 11 * t) % 90);
      rows += row.dump() + "\n";
    }
    WriteFileAtomically(Data(), rows);
  }
  std::string Data() const { return folder_ / "data.jsonl"; }
  CommandOutcome Sft(std::vector<std::string> more) const {
    more.insert(more.begin(), {GoldenModel("llama"), "--data", Data(), "--dtype", "f32",
                               "--batch_size", "2", "--max_steps", "2", "--report_to", "none",
                               "--quiet", "--json", "--output_dir", folder_ / "out"});
    return RunCommand(RunSft, more);
  }

  const ThreadsScope threads_{1};
  const TemporaryFolder folder_{"faults"};
};

TEST_F(OutputFolder, AFolderIsForOneRunAtATime) {
  ASSERT_EQ(Sft({}).error, "");
  EXPECT_FALSE(fs::exists(folder_ / "out/lock"));
  const std::string config = ReadFile(folder_ / "out/config.yaml");
  {
    const FolderLock other(folder_ / "out");
    for (const char* option : {"--resume", "--overwrite"}) {
      const CommandOutcome outcome = Sft({option, "--max_steps", "3"});
      EXPECT_EQ(outcome.status, 1);
      EXPECT_THAT(outcome.error, AllOf(HasSubstr("out: process "), HasSubstr("is working in it")));
    }
    EXPECT_EQ(ReadFile(folder_ / "out/config.yaml"), config);
    EXPECT_TRUE(fs::exists(folder_ / "out/checkpoint-2"));
  }
  EXPECT_EQ(Sft({"--resume", "--max_steps", "3"}).error, "");
}

TEST_F(OutputFolder, ANewFolderThatAnotherRunHoldsIsLeftAlone) {
  fs::create_directories(folder_ / "out");
  {
    const FolderLock other(folder_ / "out");
    EXPECT_THAT(Sft({}).error, HasSubstr("is working in it"));
  }
  std::ofstream(folder_ / "out/lock") << "0000000007\n";  // left by a run that was killed at once
  EXPECT_EQ(Sft({}).error, "");
  EXPECT_FALSE(fs::exists(folder_ / "out/lock"));
}

TEST_F(OutputFolder, ARunThatLearnsNothingFails) {
  const CommandOutcome outcome = Sft({"--max_steps", "1", "--warmup_steps", "9"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("error: nothing was learned in 1 steps"),
                                 HasSubstr("its 9 warm-up steps")));
}

}  // namespace
}  // namespace lorikeet
