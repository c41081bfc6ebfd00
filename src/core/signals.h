// Graceful shutdown: the first SIGINT or SIGTERM sets a flag that loops check between steps, so
// that they can write a checkpoint; the second ends the program at once.
#pragma once

namespace lorikeet {

// Installs the handlers for SIGINT and SIGTERM. System calls are restarted, not interrupted.
void InstallStopHandlers();
bool StopRequested();
// 130 after SIGINT, 143 after SIGTERM, 0 without a request.
int StopExitCode();
// For an interactive command that has handled the request (chat: Ctrl-C ends one reply).
void ClearStopRequest();

}  // namespace lorikeet
