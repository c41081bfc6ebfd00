#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "cli/commands.h"
#include "cli/dispatch.h"
#include "cli/version.h"
#include "plan/machine_probe.h"

namespace {

std::string VersionText() {
  return fmt::format("lorikeet {}\n{}\n", lorikeet::kVersion, lorikeet::EngineVersions());
}

// libgomp's threads wait for each other by spinning for about a millisecond. On a loaded machine a
// waiting thread then takes CPU time from the one it waits for, and a step takes ten times as long.
// A short spin costs nothing on an idle machine. libgomp reads the setting before main, hence the
// exec; a setting of the user is kept.
void LimitSpinning(char** argv) {
  for (const char* name : {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}) {
    if (std::getenv(name) != nullptr) return;
  }
  setenv("GOMP_SPINCOUNT", "10000", 1);
  execv("/proc/self/exe", argv);  // if it fails, the program continues without the setting
}

// Otherwise a file that is opened later takes the number of a closed standard stream, and gets what
// is written to that. Writing to a closed stdout stays an error, which is reported.
void OccupyStandardStreams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) != -1) continue;
    const int opened = open("/dev/null", fd == STDERR_FILENO ? O_RDWR : O_RDONLY);
    if (opened >= 0 && opened != fd) {
      dup2(opened, fd);
      close(opened);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  OccupyStandardStreams();
  LimitSpinning(argv);
  return lorikeet::Dispatch({.commands = lorikeet::Commands(), .version = VersionText}, argc, argv);
}
