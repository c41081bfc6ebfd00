// Test helpers: run a command as from the shell, and capture its outcome.
#pragma once
#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/json.h"
#include "core/temporary_folder_for_test.h"

namespace lorikeet {

struct CommandOutcome {
  int status = 0;
  std::string out, err;
  std::string error;  // message of the Error that it threw; "" if none
  OrderedJson Json() const { return ParseOrderedJson(out, "stdout"); }
};

inline CommandOutcome RunCommand(int (*command)(int, char**), std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "command");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  CommandOutcome outcome;
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  try {
    outcome.status = command(static_cast<int>(argv.size()), argv.data());
  } catch (const Error& e) {
    outcome.error = e.what();
    outcome.status = e.code() == ErrorCode::kInvalidArgument ? 2 : 1;
  }
  std::fflush(stdout);
  outcome.out = ::testing::internal::GetCapturedStdout();
  outcome.err = ::testing::internal::GetCapturedStderr();
  return outcome;
}

inline std::string GoldenModel(const std::string& family) {
  return std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/model/" + family;
}

}  // namespace lorikeet
