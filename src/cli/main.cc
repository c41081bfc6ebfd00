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

}  // namespace

int main(int argc, char** argv) {
  LimitSpinning(argv);
  return lorikeet::Dispatch({.commands = lorikeet::Commands(), .version = VersionText}, argc, argv);
}
