#include "chat/jinja/text.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "core/error.h"
#include "core/utf8.h"

namespace lorikeet::jinja {
namespace {

constexpr uint32_t kStrayByte = 0xDC00;

bool IsLineEnd(uint32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

CodePoint DecodeBefore(std::string_view text, size_t end) {
  size_t back = 1;
  while (back < 4 && back < end && (static_cast<unsigned char>(text[end - back]) & 0xC0) == 0x80) {
    ++back;
  }
  const CodePoint c = DecodeAt(text, end - back);
  if (c.bytes == back) return c;
  return {kStrayByte + static_cast<unsigned char>(text[end - 1]), 1};
}

utf8proc_category_t Category(uint32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

bool IsUpperChar(uint32_t c) {
  return Category(c) == UTF8PROC_CATEGORY_LU || utf8proc_isupper(static_cast<int32_t>(c));
}
bool IsLowerChar(uint32_t c) {
  return Category(c) == UTF8PROC_CATEGORY_LL || utf8proc_islower(static_cast<int32_t>(c));
}
bool IsCased(uint32_t c) {
  return IsUpperChar(c) || IsLowerChar(c) || Category(c) == UTF8PROC_CATEGORY_LT;
}
bool IsLetter(uint32_t c) {
  const auto category = Category(c);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

// Letters whose capital is more than one letter (Unicode SpecialCasing) and that occur in running
// text.
struct LongCapital {
  uint32_t letter;
  const char* upper;
  const char* title;
};
constexpr LongCapital kLongCapitals[] = {{0xDF, "SS", "Ss"},
                                         {0x149, "\u02BCN", "\u02BCN"},
                                         {0x1F0, "J\u030C", "J\u030C"},
                                         {0x587, "\u0535\u0552", "\u0535\u0582"},
                                         {0xFB00, "FF", "Ff"},
                                         {0xFB01, "FI", "Fi"},
                                         {0xFB02, "FL", "Fl"},
                                         {0xFB03, "FFI", "Ffi"},
                                         {0xFB04, "FFL", "Ffl"},
                                         {0xFB05, "ST", "St"},
                                         {0xFB06, "ST", "St"}};

void AppendUpper(uint32_t c, bool title, std::string& out) {
  for (const LongCapital& entry : kLongCapitals) {
    if (entry.letter == c) {
      out += title ? entry.title : entry.upper;
      return;
    }
  }
  const auto letter = static_cast<utf8proc_int32_t>(c);
  AppendCodePoint(
      static_cast<uint32_t>(title ? utf8proc_totitle(letter) : utf8proc_toupper(letter)), out);
}

// Python's final-sigma rule: a sigma after a cased letter and before none is the final form.
bool IsFinalSigma(std::string_view text, size_t at) {
  auto is_ignorable = [](uint32_t c) {
    const auto category = Category(c);
    return c == '\'' || c == '.' || c == ':' || c == 0xB7 || c == 0x2019 ||
           category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME ||
           category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_LM ||
           category == UTF8PROC_CATEGORY_SK;
  };
  size_t before = at;
  bool cased_before = false;
  while (before > 0) {
    const CodePoint c = DecodeBefore(text, before);
    before -= c.bytes;
    if (is_ignorable(c.value)) continue;
    cased_before = IsCased(c.value);
    break;
  }
  if (!cased_before) return false;
  for (size_t after = at + 2; after < text.size();) {
    const CodePoint c = DecodeAt(text, after);
    after += c.bytes;
    if (is_ignorable(c.value)) continue;
    return !IsCased(c.value);
  }
  return true;
}

void AppendLower(std::string_view text, size_t at, uint32_t c, std::string& out) {
  if (c == 0x130) {
    out += "i\u0307";
  } else if (c == 0x3A3) {
    AppendCodePoint(IsFinalSigma(text, at) ? 0x3C2 : 0x3C3, out);
  } else {
    AppendCodePoint(static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))), out);
  }
}

// Maps code point by code point; `begins(previous)` says whether a word starts after `previous`.
template <class Begins>
std::string MapCase(std::string_view text, bool title, Begins begins) {
  std::string out;
  out.reserve(text.size());
  uint32_t previous = 0;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = DecodeAt(text, at);
    if (begins(at, previous)) {
      AppendUpper(c.value, title, out);
    } else {
      AppendLower(text, at, c.value, out);
    }
    previous = c.value;
    at += c.bytes;
  }
  return out;
}

bool IsPrintable(uint32_t c) {
  switch (Category(c)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    case UTF8PROC_CATEGORY_ZS:
      return c == ' ';
    default:
      return true;
  }
}

}  // namespace

CodePoint DecodeAt(std::string_view text, size_t at) {
  if (Utf8SequenceLength(text, at) < 0)
    return {kStrayByte + static_cast<unsigned char>(text[at]), 1};
  size_t length = 0;
  const uint32_t value = DecodeUtf8(text, at, &length);
  return {value, static_cast<uint32_t>(length)};
}

void AppendCodePoint(uint32_t code_point, std::string& out) {
  if (code_point >= kStrayByte + 0x80 && code_point <= kStrayByte + 0xFF) {
    out.push_back(static_cast<char>(code_point - kStrayByte));
  } else if (code_point <= 0x10FFFF) {
    AppendUtf8(code_point, &out);
  }
}

size_t CountCodePoints(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); ++count) at += DecodeAt(text, at).bytes;
  return count;
}

std::vector<std::string_view> SplitCodePoints(std::string_view text) {
  std::vector<std::string_view> pieces;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = DecodeAt(text, at);
    pieces.push_back(text.substr(at, c.bytes));
    at += c.bytes;
  }
  return pieces;
}

bool IsSpace(uint32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

std::string_view Strip(std::string_view text, std::optional<std::string_view> chars, bool left,
                       bool right) {
  auto strips = [&](std::string_view piece, uint32_t c) {
    return chars ? chars->find(piece) != std::string_view::npos : IsSpace(c);
  };
  while (left && !text.empty()) {
    const CodePoint c = DecodeAt(text, 0);
    if (!strips(text.substr(0, c.bytes), c.value)) break;
    text.remove_prefix(c.bytes);
  }
  while (right && !text.empty()) {
    const CodePoint c = DecodeBefore(text, text.size());
    if (!strips(text.substr(text.size() - c.bytes), c.value)) break;
    text.remove_suffix(c.bytes);
  }
  return text;
}

size_t LeadingSpace(std::string_view text) {
  return text.size() - Strip(text, {}, true, false).size();
}
size_t TrailingSpace(std::string_view text) {
  return text.size() - Strip(text, {}, false, true).size();
}

std::string Upper(std::string_view text) {
  return MapCase(text, false, [](size_t, uint32_t) { return true; });
}
std::string Lower(std::string_view text) {
  return MapCase(text, false, [](size_t, uint32_t) { return false; });
}
std::string Capitalize(std::string_view text) {
  return MapCase(text, true, [](size_t at, uint32_t) { return at == 0; });
}
std::string TitleMethod(std::string_view text) {
  return MapCase(text, true, [](size_t, uint32_t previous) { return !IsCased(previous); });
}
std::string TitleFilter(std::string_view text) {
  return MapCase(text, false, [](size_t at, uint32_t c) {
    return at == 0 || IsSpace(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
  });
}

bool IsClass(std::string_view text, std::string_view which) {
  bool cased = false;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = DecodeAt(text, at);
    at += c.bytes;
    const auto category = Category(c.value);
    const bool decimal = category == UTF8PROC_CATEGORY_ND;
    const bool numeric =
        decimal || category == UTF8PROC_CATEGORY_NL || category == UTF8PROC_CATEGORY_NO;
    cased = cased || IsCased(c.value);
    bool fits = true;
    if (which == "alpha") fits = IsLetter(c.value);
    if (which == "alnum") fits = IsLetter(c.value) || numeric;
    if (which == "decimal") fits = decimal;
    if (which == "digit")
      fits = decimal || c.value == 0xB2 || c.value == 0xB3 || c.value == 0xB9 ||
             (c.value >= 0x2070 && c.value <= 0x2089);
    if (which == "numeric") fits = numeric;
    if (which == "space") fits = IsSpace(c.value);
    if (which == "upper") fits = !IsLowerChar(c.value) && Category(c.value) != UTF8PROC_CATEGORY_LT;
    if (which == "lower") fits = !IsUpperChar(c.value) && Category(c.value) != UTF8PROC_CATEGORY_LT;
    if (!fits) return false;
  }
  return which == "upper" || which == "lower" ? cased : !text.empty();
}

std::vector<std::string_view> SplitText(std::string_view text,
                                        std::optional<std::string_view> separator, int64_t limit) {
  std::vector<std::string_view> pieces;
  if (!separator) {
    text.remove_prefix(LeadingSpace(text));
    while (!text.empty()) {
      if (limit-- == 0) {
        pieces.push_back(text);
        return pieces;
      }
      size_t end = 0;
      while (end < text.size() && !IsSpace(DecodeAt(text, end).value)) {
        end += DecodeAt(text, end).bytes;
      }
      pieces.push_back(text.substr(0, end));
      text.remove_prefix(end);
      text.remove_prefix(LeadingSpace(text));
    }
    return pieces;
  }
  while (limit-- != 0) {
    const size_t at = text.find(*separator);
    if (at == std::string_view::npos) break;
    pieces.push_back(text.substr(0, at));
    text.remove_prefix(at + separator->size());
  }
  pieces.push_back(text);
  return pieces;
}

std::vector<std::string_view> SplitTextRight(std::string_view text,
                                             std::optional<std::string_view> separator,
                                             int64_t limit) {
  std::vector<std::string_view> pieces;
  if (!separator) {
    text.remove_suffix(TrailingSpace(text));
    while (!text.empty()) {
      if (limit-- == 0) {
        pieces.push_back(text);
        break;
      }
      size_t begin = text.size();
      while (begin > 0) {
        const CodePoint c = DecodeBefore(text, begin);
        if (IsSpace(c.value)) break;
        begin -= c.bytes;
      }
      pieces.push_back(text.substr(begin));
      text = text.substr(0, begin);
      text.remove_suffix(TrailingSpace(text));
    }
  } else {
    while (limit-- != 0) {
      const size_t at = text.rfind(*separator);
      if (at == std::string_view::npos) break;
      pieces.push_back(text.substr(at + separator->size()));
      text = text.substr(0, at);
    }
    pieces.push_back(text);
  }
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

std::vector<std::string_view> SplitLines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = DecodeAt(text, at);
    size_t next = at + c.bytes;
    if (IsLineEnd(c.value)) {
      if (c.value == '\r' && next < text.size() && text[next] == '\n') ++next;
      lines.push_back(text.substr(begin, (keep_ends ? next : at) - begin));
      begin = next;
    }
    at = next;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

std::string Replace(std::string_view text, std::string_view from, std::string_view to,
                    int64_t limit, size_t max_bytes) {
  std::string out;
  auto append = [&](std::string_view piece) {
    if (out.size() + piece.size() > max_bytes) {
      Fail(ErrorCode::kUnsupported, "replace() makes a string of more than {} bytes", max_bytes);
    }
    out += piece;
  };
  if (from.empty()) {  // Python puts `to` before each code point and at the end
    size_t at = 0;
    while (limit-- != 0) {
      append(to);
      if (at >= text.size()) return out;
      const uint32_t bytes = DecodeAt(text, at).bytes;
      append(text.substr(at, bytes));
      at += bytes;
    }
    append(text.substr(std::min(at, text.size())));
    return out;
  }
  while (limit-- != 0) {
    const size_t at = text.find(from);
    if (at == std::string_view::npos) break;
    append(text.substr(0, at));
    append(to);
    text.remove_prefix(at + from.size());
  }
  append(text);
  return out;
}

std::string Repr(std::string_view text) {
  const bool single = text.find('\'') != std::string_view::npos;
  const char quote = single && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = DecodeAt(text, at);
    if (c.value == '\n')
      out += "\\n";
    else if (c.value == '\t')
      out += "\\t";
    else if (c.value == '\r')
      out += "\\r";
    else if (c.value == '\\' || c.value == static_cast<unsigned char>(quote)) {
      out.push_back('\\');
      out.push_back(static_cast<char>(c.value));
    } else if (IsPrintable(c.value))
      out += text.substr(at, c.bytes);
    else if (c.value < 0x100)
      out += fmt::format("\\x{:02x}", c.value);
    else if (c.value < 0x10000)
      out += fmt::format("\\u{:04x}", c.value);
    else
      out += fmt::format("\\U{:08x}", c.value);
    at += c.bytes;
  }
  out.push_back(quote);
  return out;
}

std::string FloatRepr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  if (value == 0) return std::signbit(value) ? "-0.0" : "0.0";
  char buffer[40];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  const std::string_view shortest(buffer, static_cast<size_t>(end - buffer));  // -d.ddde+XX
  const size_t e = shortest.find('e');
  const int exponent = std::stoi(std::string(shortest.substr(e + 1)));
  const bool negative = shortest[0] == '-';
  std::string digits;
  for (char c : shortest.substr(0, e)) {
    if (c >= '0' && c <= '9') digits.push_back(c);
  }
  const int count = static_cast<int>(digits.size());
  std::string out = negative ? "-" : "";
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (count > 1) out += "." + digits.substr(1);
    return out + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0)
    return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (count <= exponent + 1) {
    return out + digits + std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  }
  const auto point = static_cast<size_t>(exponent + 1);
  return out + digits.substr(0, point) + "." + digits.substr(point);
}

std::string JsonString(std::string_view text, bool ensure_ascii) {
  std::string out = "\"";
  out.reserve(text.size() + 2);
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = DecodeAt(text, at);
    switch (c.value) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\b':
        out += "\\b";
        break;
      default:
        if (c.value < 0x20 || (ensure_ascii && c.value > 0x7E && c.value < 0x10000)) {
          out += fmt::format("\\u{:04x}", c.value);
        } else if (ensure_ascii && c.value >= 0x10000) {
          const uint32_t rest = c.value - 0x10000;
          out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
        } else {
          out += text.substr(at, c.bytes);
        }
    }
    at += c.bytes;
  }
  out.push_back('"');
  return out;
}

}  // namespace lorikeet::jinja
