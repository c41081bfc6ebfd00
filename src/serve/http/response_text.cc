#include "serve/http/response_text.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <iterator>
#include <utility>

namespace lorikeet {
namespace {

constexpr int kFirstFinal = 200, kNoContent = 204, kNotModified = 304;

std::string_view ReasonOf(int status) {
  static constexpr std::array<std::pair<int, std::string_view>, 28> kReasons = {{
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {206, "Partial Content"},
      {301, "Moved Permanently"},
      {302, "Found"},
      {304, "Not Modified"},
      {307, "Temporary Redirect"},
      {308, "Permanent Redirect"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {410, "Gone"},
      {413, "Content Too Large"},
      {415, "Unsupported Media Type"},
      {417, "Expectation Failed"},
      {422, "Unprocessable Content"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
  }};
  const auto* found = std::find_if(kReasons.begin(), kReasons.end(),
                                   [&](const auto& row) { return row.first == status; });
  return found == kReasons.end() ? std::string_view("Unknown") : found->second;
}

// "Tue, 01 Dec 2026 09:00:00 GMT", whatever the locale.
std::string HttpDate(std::time_t seconds) {
  static constexpr std::array<const char*, 7> kDays = {"Sun", "Mon", "Tue", "Wed",
                                                       "Thu", "Fri", "Sat"};
  static constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  constexpr int kEpoch = 1900;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", kDays.at(utc.tm_wday), utc.tm_mday,
                     kMonths.at(utc.tm_mon), kEpoch + utc.tm_year, utc.tm_hour, utc.tm_min,
                     utc.tm_sec);
}

// A value from outside must not end its line: that would let it add headers and answers.
void AppendField(std::string_view name, std::string_view value, std::string* out) {
  const auto append = [out](std::string_view text) {
    std::transform(text.begin(), text.end(), std::back_inserter(*out), [](char c) {
      return static_cast<unsigned char>(c) < ' ' || c == '\x7f' ? ' ' : c;
    });
  };
  append(name);
  *out += ": ";
  append(value);
  *out += "\r\n";
}

}  // namespace

bool StatusHasBody(int status) {
  return status >= kFirstFinal && status != kNoContent && status != kNotModified;
}

std::string HeadText(const HttpResponse& response, BodyFraming framing, bool keep_alive) {
  std::string out = fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n", response.status,
                                ReasonOf(response.status), HttpDate(std::time(nullptr)));
  if (StatusHasBody(response.status)) {
    if (!response.content_type.empty()) AppendField("Content-Type", response.content_type, &out);
    if (framing == BodyFraming::kChunked) out += "Transfer-Encoding: chunked\r\n";
    if (framing == BodyFraming::kLength) {
      out += fmt::format("Content-Length: {}\r\n", response.body.size());
    }
  }
  for (const auto& [name, value] : response.headers) AppendField(name, value, &out);
  // HTTP/1.0 clients ask for it and need to be told; others know.
  out += keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  return out;
}

std::string ChunkText(std::string_view piece) {
  return fmt::format("{:x}\r\n{}\r\n", piece.size(), piece);
}

}  // namespace lorikeet
