// `ErrorResponse` is the JSON body of an error, as clients of OpenAI's API read it.
#pragma once
#include <string_view>

#include "serve/http/http_server.h"

namespace lorikeet {

// {"error": {"message": ..., "type": ..., "param": null, "code": null}}. The type is
// invalid_request_error below 500, else server_error. 503 has Retry-After. Invalid UTF-8 of the
// message is replaced.
HttpResponse ErrorResponse(int status, std::string_view message);

}  // namespace lorikeet
