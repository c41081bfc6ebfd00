// Server-sent events, as streamed answers of chat completions use them: text of a streamed reply.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>

#include "serve/http/http_server.h"

namespace lorikeet {

// The head of a streamed answer of events, for HttpReply::Begin.
inline HttpResponse EventStreamHead() {
  return {.content_type = "text/event-stream",
          .headers = {{"Cache-Control", "no-cache"},
                      {"X-Accel-Buffering", "no"}}};  // proxies such as nginx pass events at once
}

// "data: ...\n\n"; lines of `data` become lines of the same event.
inline std::string EventText(std::string_view data) {
  std::string out;
  for (;;) {
    const size_t end = data.find_first_of("\r\n");
    out += "data: ";
    out += data.substr(0, end);
    out += '\n';
    if (end == std::string_view::npos) return out + '\n';
    const bool both = data.substr(end, 2) == "\r\n";
    data.remove_prefix(end + (both ? 2 : 1));
  }
}

// A comment, which clients ignore: keeps proxies and clients from closing a quiet connection.
inline std::string EventComment(std::string_view text) {
  std::string out = ": ";
  out += text;
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return out + "\n\n";
}

// The end of a stream of OpenAI's API.
inline constexpr std::string_view kEventsDone = "data: [DONE]\n\n";

}  // namespace lorikeet
