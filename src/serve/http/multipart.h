// A `FormPart` is one field of a multipart/form-data body, such as an uploaded file.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lorikeet {

struct FormPart {
  std::string name;
  std::optional<std::string> filename;  // only of files; as the client sent it: not a path to open
  std::string content_type;             // "" if it was not given
  std::string_view content;             // in the body
};

// The parts of `body`, in order; `content_type` is the request's header. Nothing is copied but
// names. Strict: RFC 7578 without text before the first part or after the last. Throws
// Error(kInvalidArgument).
std::vector<FormPart> ParseMultipart(std::string_view content_type, std::string_view body);

// The first part of this name; null if there is none.
const FormPart* FindPart(const std::vector<FormPart>& parts, std::string_view name);

}  // namespace lorikeet
