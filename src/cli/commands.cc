#include "cli/commands.h"

#include <array>

namespace lorikeet {

std::span<const Command> Commands() {
  static constexpr std::array kCommands = {
      Command{.group = "Look",
              .name = "doctor",
              .summary = "what this machine can do: CPU, memory, measured speed, bit checks",
              .run = RunDoctor},
  };
  return kCommands;
}

}  // namespace lorikeet
