// An `Error` is thrown for what a user, a file or a peer can cause, and caught once, in cli/ (exit
// status). Bugs are CHECKs (core/check.h), never Errors.
// A message is one line: what is wrong, where (file, line, key), and what to do about it.
#pragma once
#include <fmt/core.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace lorikeet {

enum class ErrorCode : uint8_t {
  kInvalidArgument,  // the user's flags, config or data; exit status 2 when found before work
                     // begins
  kNotFound,
  kCorruptFile,
  kUnsupported,
  kOutOfMemory,
  kDiverged,
  kIo,
};

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

// Throws Error(code, fmt::format(format, args...)).
template <class... Args>
[[noreturn]] void Fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace lorikeet
