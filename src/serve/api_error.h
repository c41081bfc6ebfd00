// An `ApiError` is thrown for a request that is not answered: an HTTP status and the fields of an
// OpenAI error object.
#pragma once
#include <fmt/core.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

#include "core/error.h"
#include "core/json.h"

namespace lorikeet {

class ApiError : public std::runtime_error {
 public:
  // param: the field at fault, "" if none. code: a word for programs, "" if none.
  ApiError(int status, const std::string& message, std::string param = "", std::string code = "")
      : std::runtime_error(message),
        status_(status),
        param_(std::move(param)),
        code_(std::move(code)) {}

  int status() const { return status_; }
  const std::string& param() const { return param_; }
  OrderedJson ToJson() const;  // {"error": {"message", "type", "param", "code"}}

 private:
  int status_;
  std::string param_, code_;
};

// Throws ApiError(status, fmt::format(format, args...), param).
template <class... Args>
[[noreturn]] void Refuse(int status, const std::string& param, fmt::format_string<Args...> format,
                         Args&&... args) {
  throw ApiError(status, fmt::format(format, std::forward<Args>(args)...), param);
}

// Converts an exception that ended a request: an ApiError stays as it is, an Error gets the status
// for its code, anything else the status 500.
ApiError ToApiError(const std::exception_ptr& exception);

}  // namespace lorikeet
