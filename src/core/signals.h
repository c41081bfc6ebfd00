// Graceful shutdown: the first SIGINT, SIGTERM or SIGHUP sets a flag that loops check between
// steps, so that they can write a checkpoint; a second SIGINT or SIGTERM ends the program at once.
#pragma once

namespace lorikeet {

// Installs the handlers for SIGINT, SIGTERM and SIGHUP, which stays ignored under nohup. System
// calls are restarted, not interrupted.
void InstallStopHandlers();
bool StopRequested();
// 130 after SIGINT, 143 after SIGTERM, 129 after SIGHUP, 0 without a request.
int StopExitCode();
// For an interactive command that has handled the request (chat: Ctrl-C ends one reply).
void ClearStopRequest();

}  // namespace lorikeet
