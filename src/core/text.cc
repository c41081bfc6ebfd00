#include "core/text.h"

#include <fmt/core.h>

#include "core/json.h"
#include "core/utf8.h"

namespace lorikeet {
namespace {

constexpr size_t kMaxQuotedBytes = 60, kMaxNameBytes = 120;

}  // namespace

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }

bool IsAsciiDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAsciiLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

std::string LowerAscii(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

std::string Quoted(std::string_view text) {
  std::string shown = ToValidUtf8(text.substr(0, kMaxQuotedBytes));
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  }
  return "'" + shown + (text.size() > kMaxQuotedBytes ? "...'" : "'");
}

std::string WithoutControls(std::string_view text, std::string_view keep) {
  const std::string valid = ToValidUtf8(text);
  std::string shown;
  for (size_t i = 0, length = 0; i < valid.size(); i += length) {
    const uint32_t code = DecodeUtf8(valid, i, &length);
    const bool control = code < 0x20 || (code >= 0x7F && code < 0xA0);
    if (!control || keep.find(valid[i]) != std::string_view::npos) {
      shown.append(valid, i, length);
    } else if (code == '\n') {
      shown += "\\n";
    } else {
      shown += fmt::format("\\x{:02x}", code);
    }
  }
  return shown;
}

std::string QuotedName(std::string_view name) {
  std::string shown(name);
  for (char& c : shown) {
    if (c < ' ' || c > '~') c = '?';
  }
  if (shown.size() > kMaxNameBytes) {
    shown.replace(kMaxNameBytes / 2, shown.size() - kMaxNameBytes, "...");
  }
  return "'" + shown + "'";
}

std::string JsonQuoted(std::string_view text) {
  return OrderedJson(text).dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace lorikeet
