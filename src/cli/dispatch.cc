#include "cli/dispatch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>
#include <system_error>
#include <vector>

#include "core/bus_error.h"
#include "core/error.h"
#include "core/signals.h"
#include "core/suggest.h"

namespace lorikeet {
namespace {

constexpr int kFailure = 1, kUsage = 2, kReaderGone = 128 + SIGPIPE;

int Report(std::string message, int status) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  std::fputs(fmt::format("lorikeet: error: {}\n", message).c_str(), stderr);
  return status;
}

const Command* Find(std::span<const Command> commands, const std::string& name) {
  const auto found = std::find_if(commands.begin(), commands.end(),
                                  [&](const Command& c) { return c.name == name; });
  return found == commands.end() ? nullptr : &*found;
}

const Command& Get(std::span<const Command> commands, const std::string& name) {
  if (const Command* command = Find(commands, name)) return *command;
  std::vector<std::string> names;
  for (const Command& command : commands) names.emplace_back(command.name);
  const std::string suggestion = DidYouMean(name, names);
  Fail(ErrorCode::kInvalidArgument, "unknown command '{}'{}", name,
       suggestion.empty() ? "; lorikeet --help lists the commands" : suggestion);
}

int RunCommand(const Command& command, int argc, char** argv) {
  if (command.stops_by_itself) InstallStopHandlers();
  const int status = command.run(argc, argv);
  return status == 0 ? StopExitCode() : status;
}

int RunProgram(const Program& program, int argc, char** argv) {
  const std::string first = argc > 1 ? argv[1] : "";
  if (first == "--version" || first == "version") {
    std::fputs(program.version().c_str(), stdout);
    return 0;
  }
  if (first == "help" && argc > 2) {  // lorikeet help sft
    char help[] = "--help";
    char* help_argv[] = {argv[2], help, nullptr};
    return RunCommand(Get(program.commands, argv[2]), 2, help_argv);
  }
  if (first.empty() || first == "--help" || first == "-h" || first == "help") {
    std::fputs(Overview(program.commands).c_str(), stdout);
    return first.empty() ? kUsage : 0;
  }
  return RunCommand(Get(program.commands, first), argc - 1, argv + 1);
}

int RunCaught(const Program& program, int argc, char** argv) {
  try {
    return RunProgram(program, argc, argv);
  } catch (const Error& e) {
    return Report(e.what(), e.code() == ErrorCode::kInvalidArgument ? kUsage : kFailure);
  } catch (const std::bad_alloc&) {
    return Report("out of memory; lorikeet estimate tells what a run needs", kFailure);
  } catch (const std::system_error& e) {  // std::filesystem's too
    if (e.code() == std::errc::broken_pipe) return kReaderGone;
    if (e.code() == std::errc::resource_unavailable_try_again) {
      return Report(fmt::format("no thread or process can be started: {}; raise the limit on them "
                                "(ulimit -u), or give a smaller --threads",
                                e.what()),
                    kFailure);
    }
    return Report(e.what(), kFailure);
  } catch (const std::exception& e) {
    return Report(fmt::format("unexpected: {}", e.what()), kFailure);
  }
}

}  // namespace

std::string Overview(std::span<const Command> commands) {
  std::string text =
      "lorikeet: fine-tunes language models on CPUs, with LoRA or in full\n"
      "\n"
      "Usage: lorikeet COMMAND [--option value]...\n"
      "       lorikeet COMMAND --help      the options of one command, with their defaults\n"
      "       lorikeet --version\n";
  std::vector<std::string> groups;
  for (const Command& command : commands) {
    if (std::find(groups.begin(), groups.end(), command.group) == groups.end())
      groups.emplace_back(command.group);
  }
  for (const std::string& group : groups) {
    text += fmt::format("\n{}\n", group);
    for (const Command& command : commands) {
      if (command.group == group)
        text += fmt::format("  {:<10} {}\n", command.name, command.summary);
    }
  }
  text +=
      "\n"
      "Options may stand in a YAML file too (--config run.yaml); flags win over it.\n"
      "A model is a folder in Hugging Face layout, a GGUF file, or a name in the Hugging Face "
      "cache.\n"
      "Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 129 / 130 / 143 stopped by "
      "SIGHUP / SIGINT / SIGTERM.\n";
  return text;
}

int Dispatch(const Program& program, int argc, char** argv) {
  // Writing then gives an error instead, so that a long run survives the reader of its log.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // "File too large", naming the file
  InstallBusErrorHandler();
  int status = RunCaught(program, argc, argv);
  if (std::fflush(stdout) != 0 && status == 0) {
    status =
        errno == EPIPE
            ? kReaderGone
            : Report(fmt::format("cannot write the output: {}", std::strerror(errno)), kFailure);
  }
  return status;
}

}  // namespace lorikeet
