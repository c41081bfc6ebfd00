#include "serve/http/multipart.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "core/error.h"
#include "core/text.h"
#include "core/utf8.h"
#include "serve/http/http_request.h"

namespace lorikeet {
namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr size_t kMaxBoundary = 70;  // RFC 2046
constexpr size_t kMaxPartHeader = 16 << 10;
constexpr size_t kMaxParts = 1000;

[[noreturn]] void FailForm(std::string_view problem) {
  Fail(ErrorCode::kInvalidArgument, "multipart/form-data: {}", problem);
}

struct FieldParameter {
  std::string name, value;
};

// A header's value and its parameters: form-data; name="a"; filename="b.jsonl"
struct FieldValue {
  std::string value;
  std::vector<FieldParameter> parameters;

  const std::string* Find(std::string_view name) const {
    const FieldParameter* found = nullptr;
    for (const FieldParameter& each : parameters) {
      if (!EqualIgnoringCase(each.name, name)) continue;
      if (found != nullptr) FailForm("a header has the same parameter twice");
      found = &each;
    }
    return found == nullptr ? nullptr : &found->value;
  }
};

// Reads "..." from the front, in which \" and \\ are escapes.
std::string TakeQuoted(std::string_view* text) {
  std::string out;
  text->remove_prefix(1);
  for (size_t i = 0; i < text->size(); ++i) {
    const char c = (*text)[i];
    if (c == '"') {
      text->remove_prefix(i + 1);
      return out;
    }
    const bool escape =
        c == '\\' && i + 1 < text->size() && ((*text)[i + 1] == '"' || (*text)[i + 1] == '\\');
    out += escape ? (*text)[++i] : c;
  }
  FailForm("a quoted value in a header has no end");
}

FieldParameter TakeParameter(std::string_view* text) {
  const size_t equals = text->find('=');
  if (equals == std::string_view::npos) FailForm("a header has a parameter without =");
  FieldParameter parameter{std::string(Trimmed(text->substr(0, equals))), {}};
  text->remove_prefix(equals + 1);
  if (text->starts_with('"')) {
    parameter.value = TakeQuoted(text);
  } else {
    const size_t end = std::min(text->find(';'), text->size());
    parameter.value = Trimmed(text->substr(0, end));
    text->remove_prefix(end);
  }
  *text = Trimmed(*text);
  return parameter;
}

FieldValue ParseFieldValue(std::string_view text) {
  const size_t end = std::min(text.find(';'), text.size());
  FieldValue field{LowerAscii(Trimmed(text.substr(0, end))), {}};
  text.remove_prefix(end);
  while (text.starts_with(';')) {
    text = Trimmed(text.substr(1));
    if (!text.empty()) field.parameters.push_back(TakeParameter(&text));
  }
  if (!text.empty()) FailForm("a header has text after a quoted value");
  return field;
}

std::string BoundaryOf(std::string_view content_type) {
  const FieldValue type = ParseFieldValue(content_type);
  if (type.value != "multipart/form-data") {
    FailForm("the request's Content-Type must be multipart/form-data with a boundary");
  }
  const std::string* boundary = type.Find("boundary");
  const auto allowed = [](char c) {
    return IsAsciiLetter(c) || IsAsciiDigit(c) ||
           std::string_view("'()+_,-./:=? ").find(c) != std::string_view::npos;
  };
  if (boundary == nullptr || boundary->empty() || boundary->size() > kMaxBoundary ||
      boundary->ends_with(' ') || !std::all_of(boundary->begin(), boundary->end(), allowed)) {
    FailForm("the request's Content-Type has no valid boundary of 1 to 70 characters");
  }
  return *boundary;
}

// Browsers and httpx write a quote and line ends within a name so, and nothing else.
std::string FormName(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view escape = std::string_view(text).substr(i, 3);
    const char c = escape == "%22" ? '"' : escape == "%0D" ? '\r' : escape == "%0A" ? '\n' : '\0';
    out += c == '\0' ? text[i] : c;
    if (c != '\0') i += 2;
  }
  if (!IsValidUtf8(out) || out.find('\0') != std::string::npos) {
    FailForm("a name is not UTF-8, or has NUL");
  }
  return out;
}

void ReadDisposition(std::string_view value, FormPart* part) {
  const FieldValue field = ParseFieldValue(value);
  const std::string* name = field.Find("name");
  if (field.value != "form-data" || name == nullptr) {
    FailForm("a part's Content-Disposition is not: form-data; name=...");
  }
  part->name = FormName(*name);
  if (const std::string* filename = field.Find("filename")) part->filename = FormName(*filename);
}

// The headers of a part: lines, each with its end.
FormPart ReadPartHeader(std::string_view text) {
  FormPart part;
  bool disposition = false;
  while (!text.empty()) {
    const size_t end = text.find(kLineEnd);
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + kLineEnd.size());
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0 || IsSpace(line[0])) {
      FailForm("a part has a line among its headers that is none");
    }
    const std::string_view name = line.substr(0, colon), value = Trimmed(line.substr(colon + 1));
    if (EqualIgnoringCase(name, "content-disposition")) {
      if (std::exchange(disposition, true)) FailForm("a part has two Content-Disposition headers");
      ReadDisposition(value, &part);
    } else if (EqualIgnoringCase(name, "content-type")) {
      part.content_type = value;
    } else if (EqualIgnoringCase(name, "content-transfer-encoding")) {
      const bool plain = EqualIgnoringCase(value, "binary") || EqualIgnoringCase(value, "8bit") ||
                         EqualIgnoringCase(value, "7bit");
      if (!plain) FailForm("a part has a Content-Transfer-Encoding; send it as it is");
    }
  }
  if (!disposition) FailForm("a part has no Content-Disposition header");
  return part;
}

// Reads a part from the front, up to the delimiter after it.
FormPart TakePart(std::string_view* rest, std::string_view delimiter) {
  const std::string_view head = rest->substr(0, kMaxPartHeader);
  const size_t end = head.find("\r\n\r\n");
  if (end == std::string_view::npos) {
    FailForm("a part's headers have no end, or more than 16 KiB");
  }
  FormPart part = ReadPartHeader(head.substr(0, end + kLineEnd.size()));
  // The empty line's own end may be the first bytes of the delimiter, if the part is empty.
  rest->remove_prefix(end + 2 * kLineEnd.size());
  const size_t size = rest->find(delimiter);
  if (size == std::string_view::npos) FailForm("the last part is not complete");
  part.content = rest->substr(0, size);
  rest->remove_prefix(size + delimiter.size());
  return part;
}

}  // namespace

std::vector<FormPart> ParseMultipart(std::string_view content_type, std::string_view body) {
  const std::string delimiter = "\r\n--" + BoundaryOf(content_type);
  const std::string_view first = std::string_view(delimiter).substr(kLineEnd.size());
  if (!body.starts_with(first)) FailForm("the body does not begin with the boundary");
  body.remove_prefix(first.size());
  std::vector<FormPart> parts;
  while (body.starts_with(kLineEnd)) {
    if (parts.size() == kMaxParts) FailForm("more than 1000 parts");
    body.remove_prefix(kLineEnd.size());
    parts.push_back(TakePart(&body, delimiter));
  }
  if (body != "--" && body != "--\r\n") {
    FailForm("after a boundary there must be a line end, or -- and nothing else");
  }
  return parts;
}

const FormPart* FindPart(const std::vector<FormPart>& parts, std::string_view name) {
  const auto found =
      std::find_if(parts.begin(), parts.end(), [&](const FormPart& p) { return p.name == name; });
  return found == parts.end() ? nullptr : &*found;
}

}  // namespace lorikeet
