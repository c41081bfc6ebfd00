#include "verify/rewards/child.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <csignal>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace lorikeet {
namespace {

using ::testing::ElementsAre;
using Event = ChildProcess::Event;

constexpr std::chrono::milliseconds kShort{50};

// Nobody may be there to wait for an orphan.
bool IsZombie(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  const std::string text((std::istreambuf_iterator<char>(stat)), {});
  return text.find(") Z ") != std::string::npos;
}

ChildProcess::Clock::time_point In(double seconds) {
  return ChildProcess::Clock::now() + std::chrono::duration_cast<ChildProcess::Clock::duration>(
                                          std::chrono::duration<double>(seconds));
}

TEST(RewardChildTest, EchoesLines) {
  ChildProcess child;
  child.Start("cat");
  std::vector<std::string> lines;
  const auto take = [&](std::string_view line) {
    lines.emplace_back(line);
    return lines.size() < 2;
  };
  EXPECT_EQ(child.Exchange("one\ntwo\n", take, In(20)), Event::kDone);
  EXPECT_THAT(lines, ElementsAre("one", "two"));
  EXPECT_EQ(child.Stop(ChildProcess::kPatience), "status 0");
  EXPECT_FALSE(child.running());
}

TEST(RewardChildTest, LinesLeftOverWaitForTheNextExchange) {
  ChildProcess child;
  child.Start("cat");
  std::vector<std::string> lines;
  const auto take_one = [&](std::string_view line) {
    lines.emplace_back(line);
    return false;
  };
  EXPECT_EQ(child.Exchange("one\ntwo\nthree\n", take_one, In(20)), Event::kDone);
  EXPECT_EQ(child.Exchange("", take_one, In(20)), Event::kDone);
  EXPECT_EQ(child.Exchange("", take_one, In(20)), Event::kDone);
  EXPECT_THAT(lines, ElementsAre("one", "two", "three"));
}

// Both pipes are full before the child has read everything.
TEST(RewardChildTest, FullPipesDoNotBlock) {
  ChildProcess child;
  child.Start("cat");
  const std::string line(100'000, 'x');
  std::string text;
  constexpr int kLines = 100;
  for (int i = 0; i < kLines; ++i) text += line + "\n";
  int count = 0;
  const auto take = [&](std::string_view got) {
    EXPECT_EQ(got.size(), line.size());
    return ++count < kLines;
  };
  EXPECT_EQ(child.Exchange(text, take, In(60)), Event::kDone);
}

TEST(RewardChildTest, TheEndIsSeenWithAllThatWasSaid) {
  ChildProcess child;
  child.Start("echo one; printf two; exit 3");
  std::vector<std::string> lines;
  const auto take = [&](std::string_view line) {
    lines.emplace_back(line);
    return true;
  };
  EXPECT_EQ(child.Exchange(std::string(1 << 20, 'x'), take, In(20)), Event::kEnded);
  EXPECT_THAT(lines, ElementsAre("one", "two"));
  EXPECT_EQ(child.Stop(kShort), "status 3");
}

TEST(RewardChildTest, NobodyReadsItsInputAndWeLive) {
  ChildProcess child;
  child.Start("exec 0<&-; echo ready; sleep 30");
  const auto once = [](std::string_view) { return false; };
  EXPECT_EQ(child.Exchange("", once, In(20)), Event::kDone);
  EXPECT_EQ(child.Exchange(std::string(1 << 20, 'x'), once, In(0.05)), Event::kTimeout);
  EXPECT_EQ(child.Stop(kShort), "signal 15");
}

TEST(RewardChildTest, StopsWhatDoesNotWantTo) {
  ChildProcess child;
  child.Start("trap '' TERM; echo $$; while :; do sleep 0.01; done");
  pid_t pid = 0;
  const auto read_pid = [&](std::string_view line) {
    std::from_chars(line.data(), line.data() + line.size(), pid);
    return false;
  };
  EXPECT_EQ(child.Exchange("", read_pid, In(20)), Event::kDone);
  EXPECT_EQ(child.Stop(kShort), "signal 9");
  EXPECT_NE(kill(pid, 0), 0);
}

TEST(RewardChildTest, AStopIsSeenSoon) {
  ChildProcess child;
  child.Start("sleep 100");
  int asked = 0;
  const auto take = [](std::string_view) { return true; };
  EXPECT_EQ(child.Exchange("x\n", take, In(100), [&] { return ++asked > 2; }), Event::kStopped);
  EXPECT_EQ(child.Stop(kShort), "signal 15");
}

// The group of a command whose trainer was killed, a grandchild included.
TEST(RewardChildTest, EndsWithAProcessThatIsKilled) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  const pid_t trainer = fork();
  if (trainer == 0) {
    close(ends[0]);
    ChildProcess child;
    child.Start("sleep 1000 & echo $$ $!; sleep 1000");
    child.Exchange(
        "",
        [&](std::string_view line) {
          const std::string text = std::string(line) + "\n";
          if (write(ends[1], text.data(), text.size()) < 0) _exit(1);
          return false;
        },
        In(20));
    raise(SIGKILL);
  }
  close(ends[1]);
  std::array<char, 64> text{};
  EXPECT_GT(read(ends[0], text.data(), text.size() - 1), 0);
  close(ends[0]);
  EXPECT_EQ(waitpid(trainer, nullptr, 0), trainer);
  std::istringstream ids(text.data());
  for (pid_t pid = 0; ids >> pid;) {
    const auto gone = [pid] { return kill(pid, 0) != 0 || IsZombie(pid); };
    for (int i = 0; i < 2000 && !gone(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    EXPECT_TRUE(gone()) << pid;
    if (!gone()) kill(pid, SIGKILL);
  }
}

}  // namespace
}  // namespace lorikeet
