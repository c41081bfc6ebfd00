// From `lorikeet <command> ...` to the command's function, and from whatever it throws to one line
// and an exit status.
#pragma once
#include <span>
#include <string>

namespace lorikeet {

struct Command {
  const char* group;    // heading in the overview: "Train", "Use", "Look"
  const char* name;     // as typed
  const char* summary;  // one line without a full stop
  int (*run)(int argc, char** argv);
  // The command looks at StopRequested() and ends by itself, so signals only raise the flag. Others
  // die at once.
  bool stops_by_itself = false;
};

struct Program {
  std::span<const Command> commands;
  std::string (*version)();  // the lines of --version
};

// Exit status: what the command returned; 2 for usage errors (kInvalidArgument), 1 for other
// failures, 130 / 143 after SIGINT / SIGTERM, 141 when the reader of the output went away.
int Dispatch(const Program& program, int argc, char** argv);

// `lorikeet --help`.
std::string Overview(std::span<const Command> commands);

}  // namespace lorikeet
