// libFuzzer target: any bytes as a multipart/form-data body give parts or an Error. The first line
// is the request's Content-Type. Parts written again are read alike. Seeds: tests/fuzz/multipart/.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "core/error.h"
#include "serve/http/multipart.h"

namespace {

using lorikeet::FormPart;

std::string Escaped(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '"') {
      out += "%22";
    } else if (c == '\r') {
      out += "%0D";
    } else if (c == '\n') {
      out += "%0A";
    } else {
      out += c;
    }
  }
  return out;
}

// Content of the parts does not have the boundary of the body that it comes from.
std::string Written(const std::vector<FormPart>& parts, const std::string& delimiter) {
  std::string body;
  for (const FormPart& part : parts) {
    body += delimiter + "\r\nContent-Disposition: form-data; name=\"" + Escaped(part.name) + '"';
    if (part.filename) body += "; filename=\"" + Escaped(*part.filename) + '"';
    body += "\r\nContent-Type: " + part.content_type + "\r\n\r\n";
    body += part.content;
    body += "\r\n";
  }
  return body + delimiter + "--\r\n";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view type = input.substr(0, input.find('\n'));
  const std::string_view body = input.substr(std::min(type.size() + 1, input.size()));
  try {
    const std::vector<FormPart> parts = lorikeet::ParseMultipart(type, body);
    const auto small = [](const FormPart& part) {
      constexpr size_t kFits = 4000;  // its header must stay within the limit when escaped
      return part.name.size() + part.filename.value_or("").size() < kFits &&
             // escapes of escapes are not written again as they were
             part.name.find('%') == std::string::npos &&
             part.filename.value_or("").find('%') == std::string::npos;
    };
    if (!std::all_of(parts.begin(), parts.end(), small)) return 0;
    const std::string delimiter(body.substr(0, body.find("\r\n")));
    if (parts.empty()) return 0;
    const std::string again = Written(parts, delimiter);
    const std::vector<FormPart> same = lorikeet::ParseMultipart(type, again);
    CHECK(same.size() == parts.size());
    for (size_t i = 0; i < parts.size(); ++i) {
      CHECK(same[i].name == parts[i].name && same[i].filename == parts[i].filename &&
            same[i].content_type == parts[i].content_type && same[i].content == parts[i].content);
    }
  } catch (const lorikeet::Error& e) {
    CHECK(std::string_view(e.what()).find('\n') == std::string_view::npos);
  }
  return 0;
}
