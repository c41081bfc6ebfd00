// The commands: each is a function in its own cmd_<name>.cc, and a row of the table in commands.cc.
#pragma once
#include <span>

#include "cli/dispatch.h"

namespace lorikeet {

std::span<const Command> Commands();

// argv[0] is the command's name. The result is the exit status. Throw Error for mistakes of the
// user.
int RunPretrain(int argc, char** argv);
int RunSft(int argc, char** argv);
int RunRl(int argc, char** argv);
int RunEval(int argc, char** argv);
int RunDoctor(int argc, char** argv);
int RunBench(int argc, char** argv);
int RunChat(int argc, char** argv);
int RunConvert(int argc, char** argv);
int RunEstimate(int argc, char** argv);
int RunGenerate(int argc, char** argv);
int RunInspect(int argc, char** argv);
int RunMerge(int argc, char** argv);
int RunServe(int argc, char** argv);
int RunStudy(int argc, char** argv);

}  // namespace lorikeet
