// The commands: each is a function in its own cmd_<name>.cc, and a row of the table in commands.cc.
#pragma once
#include <span>

#include "cli/dispatch.h"

namespace lorikeet {

std::span<const Command> Commands();

// argv[0] is the command's name. The result is the exit status. Throw Error for what a person can
// cause.
int RunDoctor(int argc, char** argv);

}  // namespace lorikeet
