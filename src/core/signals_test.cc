#include "core/signals.h"

#include <gtest/gtest.h>

#include <csignal>

namespace lorikeet {
namespace {

TEST(Signals, TheFirstRaisesAFlag) {
  InstallStopHandlers();
  EXPECT_FALSE(StopRequested());
  EXPECT_EQ(StopExitCode(), 0);
  raise(SIGINT);
  EXPECT_TRUE(StopRequested());
  EXPECT_EQ(StopExitCode(), 130);
  ClearStopRequest();
  EXPECT_FALSE(StopRequested());
  raise(SIGTERM);
  EXPECT_EQ(StopExitCode(), 143);
  ClearStopRequest();
  raise(SIGHUP);
  raise(SIGHUP);  // the terminal's and its shell's: the second changes nothing
  EXPECT_EQ(StopExitCode(), 129);
  ClearStopRequest();
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  signal(SIGHUP, SIG_IGN);  // nohup
  InstallStopHandlers();
  raise(SIGHUP);
  EXPECT_FALSE(StopRequested());
  for (const int each : {SIGINT, SIGTERM, SIGHUP}) signal(each, SIG_DFL);
}

TEST(SignalsDeathTest, TheSecondEndsTheProgramAtOnce) {
  const auto twice = [](int first, int second) {
    InstallStopHandlers();
    raise(first);
    raise(second);
  };
  EXPECT_EXIT(twice(SIGINT, SIGINT), ::testing::ExitedWithCode(130), "");
  EXPECT_EXIT(twice(SIGINT, SIGTERM), ::testing::ExitedWithCode(143), "");
}

}  // namespace
}  // namespace lorikeet
