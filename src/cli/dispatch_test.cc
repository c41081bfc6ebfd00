#include "cli/dispatch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <new>

#include "core/error.h"
#include "core/signals.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;

int EchoArguments(int argc, char** argv) {
  for (int i = 0; i < argc; ++i) std::printf("%s;", argv[i]);
  return 7;
}
int ThrowUsage(int, char**) { Fail(ErrorCode::kInvalidArgument, "bad {}", "flag\nsecond line"); }
int ThrowNotFound(int, char**) { Fail(ErrorCode::kNotFound, "x.json: no such file"); }
int ThrowBadAlloc(int, char**) { throw std::bad_alloc(); }
int ThrowFilesystem(int, char**) {
  return static_cast<int>(std::filesystem::file_size("/nowhere/at/all"));
}
int ThrowBrokenPipe(int, char**) {
  throw std::system_error(std::make_error_code(std::errc::broken_pipe));
}
int ThrowLogic(int, char**) { throw std::out_of_range("map::at"); }
int Interrupted(int, char**) {
  raise(SIGTERM);
  return StopRequested() ? 0 : 99;
}

constexpr Command kCommands[] = {
    {.group = "Train", .name = "sft", .summary = "echo", .run = EchoArguments},
    {.group = "Look", .name = "usage", .summary = "throws", .run = ThrowUsage},
    {.group = "Look", .name = "missing", .summary = "throws", .run = ThrowNotFound},
    {.group = "Look", .name = "memory", .summary = "throws", .run = ThrowBadAlloc},
    {.group = "Look", .name = "files", .summary = "throws", .run = ThrowFilesystem},
    {.group = "Look", .name = "pipe", .summary = "throws", .run = ThrowBrokenPipe},
    {.group = "Look", .name = "logic", .summary = "throws", .run = ThrowLogic},
    {.group = "Train",
     .name = "stop",
     .summary = "stops",
     .run = Interrupted,
     .stops_by_itself = true},
};

struct Outcome {
  int status;
  std::string out, err;
};

Outcome Lorikeet(std::vector<std::string> arguments) {
  std::vector<char*> argv;
  arguments.insert(arguments.begin(), "lorikeet");
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  const Program program{.commands = kCommands,
                        .version = [] { return std::string("lorikeet 1.2.3\n"); }};
  const int status = Dispatch(program, static_cast<int>(arguments.size()), argv.data());
  return {status, ::testing::internal::GetCapturedStdout(),
          ::testing::internal::GetCapturedStderr()};
}

TEST(Dispatch, TheCommandGetsItsArgumentsAndGivesTheStatus) {
  const Outcome outcome = Lorikeet({"sft", "--lora-r", "8"});
  EXPECT_EQ(outcome.status, 7);
  EXPECT_EQ(outcome.out, "sft;--lora-r;8;");
  EXPECT_EQ(Lorikeet({"help", "sft"}).out, "sft;--help;");
}

TEST(Dispatch, HelpListsCommandsByGroupAndVersionIsPrinted) {
  const Outcome help = Lorikeet({"--help"});
  EXPECT_EQ(help.status, 0);
  EXPECT_THAT(help.out, HasSubstr("\nTrain\n  sft        echo\n  stop       stops\n\nLook\n"));
  EXPECT_EQ(Lorikeet({}).status, 2);
  EXPECT_EQ(Lorikeet({"--version"}).out, "lorikeet 1.2.3\n");
}

TEST(Dispatch, AnUnknownCommandNamesTheNearest) {
  const Outcome outcome = Lorikeet({"stf"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_EQ(outcome.err, "lorikeet: error: unknown command 'stf'; did you mean 'sft'?\n");
  EXPECT_THAT(Lorikeet({"banana"}).err, HasSubstr("lorikeet --help lists the commands"));
  EXPECT_EQ(Lorikeet({"help", "banana"}).status, 2);
}

TEST(Dispatch, WhateverIsThrownBecomesOneLineAndAStatus) {
  EXPECT_EQ(Lorikeet({"usage"}).status, 2);
  EXPECT_EQ(Lorikeet({"usage"}).err, "lorikeet: error: bad flag second line\n");
  EXPECT_EQ(Lorikeet({"missing"}).status, 1);
  EXPECT_EQ(Lorikeet({"missing"}).err, "lorikeet: error: x.json: no such file\n");
  EXPECT_THAT(Lorikeet({"memory"}).err, HasSubstr("lorikeet: error: out of memory"));
  EXPECT_THAT(Lorikeet({"files"}).err, HasSubstr("/nowhere/at/all"));
  EXPECT_EQ(Lorikeet({"files"}).status, 1);
  EXPECT_THAT(Lorikeet({"logic"}).err, HasSubstr("lorikeet: error: unexpected: map::at"));
  EXPECT_EQ(Lorikeet({"pipe"}).status, 141);
  EXPECT_EQ(Lorikeet({"pipe"}).err, "");
}

TEST(Dispatch, AStoppedCommandExitsAsTheSignalSays) {
  EXPECT_EQ(Lorikeet({"stop"}).status, 143);
  ClearStopRequest();
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

}  // namespace
}  // namespace lorikeet
