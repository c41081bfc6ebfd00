// Dispatch of `lorikeet <command> ...` to the command's function, and of its exceptions to one line
// and an exit status.
#pragma once
#include <span>
#include <string>

namespace lorikeet {

struct Command {
  const char* group;    // heading in the overview: "Train", "Use", "Look"
  const char* name;     // as the user types it
  const char* summary;  // one line without a full stop
  int (*run)(int argc, char** argv);
  // true: the command polls StopRequested() and shuts down gracefully, so signals only set the
  // flag. false: a signal ends the process at once.
  bool stops_by_itself = false;
};

struct Program {
  std::span<const Command> commands;
  std::string (*version)();  // output of --version
};

// Returns the exit status: that of the command; 2 for usage errors (kInvalidArgument), 1 for other
// failures, 130 / 143 after SIGINT / SIGTERM, 141 after SIGPIPE (the reader of the output has
// ended).
int Dispatch(const Program& program, int argc, char** argv);

// The text of `lorikeet --help`.
std::string Overview(std::span<const Command> commands);

}  // namespace lorikeet
