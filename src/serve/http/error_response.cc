#include "serve/http/error_response.h"

#include <fmt/core.h>

#include "core/text.h"

namespace lorikeet {
namespace {

constexpr int kServerErrors = 500, kUnavailable = 503;

}  // namespace

HttpResponse ErrorResponse(int status, std::string_view message) {
  HttpResponse response{.status = status};
  response.body = fmt::format(
      R"({{"error":{{"message":{},"type":"{}","param":null,"code":null}}}})", JsonQuoted(message),
      status < kServerErrors ? "invalid_request_error" : "server_error");
  if (status == kUnavailable) response.headers.emplace_back("Retry-After", "1");
  return response;
}

}  // namespace lorikeet
