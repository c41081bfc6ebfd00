#include "serve/http/http_request.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstddef>
#include <optional>

#include "core/text.h"
#include "core/utf8.h"

namespace lorikeet {
namespace {

constexpr int kLetterTen = 10;  // the value of the digit A

char LowerCase(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = LowerCase(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + kLetterTen : -1;
}

enum class Plus { kStays, kIsBlank };

// Nothing if an escape is none, or the result has a NUL or is not UTF-8.
std::optional<std::string> PercentDecoded(std::string_view text, Plus plus) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus == Plus::kIsBlank) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      const int high = i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? HexDigit(text[i + 2]) : -1;
      if (high < 0 || low < 0) return {};
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  if (out.find('\0') != std::string::npos || !IsValidUtf8(out)) return {};
  return out;
}

// The part of `text` before the first `end`, which is removed from it, with `end`.
std::string_view TakeUntil(std::string_view* text, char end) {
  const size_t size = std::min(text->find(end), text->size());
  const std::string_view part = text->substr(0, size);
  text->remove_prefix(std::min(size + 1, text->size()));
  return part;
}

// "http://host:1/a" -> "/a"
std::string_view WithoutAuthority(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!EqualIgnoringCase(target.substr(0, scheme.size()), scheme)) continue;
    const size_t slash = target.find_first_of("/?", scheme.size());
    return slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  return target;
}

bool DecodePath(std::string_view path, std::vector<std::string>* segments) {
  path.remove_prefix(1);
  while (!path.empty()) {
    std::optional<std::string> segment = PercentDecoded(TakeUntil(&path, '/'), Plus::kStays);
    if (!segment) return false;
    segments->push_back(*std::move(segment));
  }
  return true;
}

bool DecodeQuery(std::string_view text, HttpFields* query) {
  while (!text.empty()) {
    std::string_view value = TakeUntil(&text, '&');
    if (value.empty()) continue;
    std::optional<std::string> name = PercentDecoded(TakeUntil(&value, '='), Plus::kIsBlank);
    std::optional<std::string> decoded = PercentDecoded(value, Plus::kIsBlank);
    if (!name || !decoded) return false;
    query->emplace_back(*std::move(name), *std::move(decoded));
  }
  return true;
}

}  // namespace

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return LowerCase(x) == LowerCase(y); });
}

std::string_view HttpRequest::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (EqualIgnoringCase(key, name)) return value;
  }
  return {};
}

std::string HttpRequest::Query(std::string_view name, std::string_view otherwise) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return std::string(otherwise);
}

std::string DecodeTarget(HttpRequest* request) {
  std::string_view rest = WithoutAuthority(request->target);
  if (rest.starts_with('?')) return "target: no path; give /PATH?QUERY";  // http://host?x=1
  if (!rest.starts_with('/') || rest.find('#') != std::string_view::npos) {
    return fmt::format("target {}: give a path that begins with /, without a fragment",
                       Quoted(request->target));
  }
  const std::string_view path = TakeUntil(&rest, '?');
  if (!DecodePath(path, &request->path) || !DecodeQuery(rest, &request->query)) {
    return fmt::format(
        "target {}: its %-escapes must be two hexadecimal digits and give UTF-8 without NUL",
        Quoted(request->target));
  }
  return {};
}

}  // namespace lorikeet
