#include "serve/api_error.h"

namespace lorikeet {
namespace {

const char* TypeOf(int status) {
  switch (status) {
    case 401:
      return "AuthenticationError";
    case 403:
      return "PermissionDeniedError";
    case 404:
      return "NotFoundError";
    case 409:
      return "ConflictError";
    case 429:
      return "rate_limit_error";
    case 503:
      return "unavailable_error";
    default:
      return status >= 500 ? "InternalServerError" : "BadRequestError";
  }
}

int StatusOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kUnsupported:
    case ErrorCode::kCorruptFile:
      return 400;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kOutOfMemory:
      return 503;
    case ErrorCode::kDiverged:
    case ErrorCode::kIo:
      return 500;
  }
  return 500;
}

}  // namespace

OrderedJson ApiError::ToJson() const {
  const auto text = [](const std::string& s) { return s.empty() ? OrderedJson() : OrderedJson(s); };
  return {{"error",
           {{"message", what()},
            {"type", TypeOf(status_)},
            {"param", text(param_)},
            {"code", text(code_)}}}};
}

ApiError ToApiError(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const ApiError& e) {
    return e;
  } catch (const Error& e) {
    return {StatusOf(e.code()), e.what()};
  } catch (const std::bad_alloc&) {
    return {503, "the server has too little memory for this request"};
  } catch (const std::exception& e) {
    return {500, fmt::format("internal error: {}", e.what())};
  }
}

}  // namespace lorikeet
