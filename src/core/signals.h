// Being asked to stop: the first SIGINT or SIGTERM raises a flag that loops look at between steps,
// so that they can write a checkpoint; the second ends the program at once.
#pragma once

namespace lorikeet {

// Installs the handlers for SIGINT and SIGTERM. System calls are restarted, not interrupted.
void InstallStopHandlers();
bool StopRequested();
// 130 after SIGINT, 143 after SIGTERM, 0 if nobody asked.
int StopExitCode();
// For an interactive command that has answered the request (chat: Ctrl-C ends one reply).
void ClearStopRequest();

}  // namespace lorikeet
