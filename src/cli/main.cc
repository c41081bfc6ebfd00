#include <fmt/format.h>

#include <string>

#include "cli/commands.h"
#include "cli/dispatch.h"
#include "cli/version.h"
#include "model/engine_info.h"

namespace {

std::string VersionText() {
  return fmt::format("lorikeet {}\n{}\n", lorikeet::kVersion, lorikeet::EngineVersions());
}

}  // namespace

int main(int argc, char** argv) {
  return lorikeet::Dispatch({.commands = lorikeet::Commands(), .version = VersionText}, argc, argv);
}
