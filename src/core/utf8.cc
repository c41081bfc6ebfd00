#include "core/utf8.h"

namespace lorikeet {

void AppendUtf8(uint32_t c, std::string* out) {
  if (c < 0x80) {
    out->push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out->push_back(static_cast<char>(0xC0 | c >> 6));
    out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else if (c < 0x10000) {
    out->push_back(static_cast<char>(0xE0 | c >> 12));
    out->push_back(static_cast<char>(0x80 | (c >> 6 & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else {
    out->push_back(static_cast<char>(0xF0 | c >> 18));
    out->push_back(static_cast<char>(0x80 | (c >> 12 & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (c >> 6 & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
  }
}

// Table 3-7 of the Unicode standard: the second byte's range depends on the first.
int Utf8SequenceLength(std::string_view text, size_t i) {
  const auto byte = [&](size_t k) { return static_cast<uint8_t>(text[k]); };
  const uint8_t lead = byte(i);
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return -1;
  const int length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  uint8_t low = 0x80, high = 0xBF;
  if (lead == 0xE0) low = 0xA0;
  if (lead == 0xED) high = 0x9F;
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  for (int k = 1; k < length; ++k) {
    if (i + k >= text.size() || byte(i + k) < low || byte(i + k) > high) return -k;
    low = 0x80;
    high = 0xBF;
  }
  return length;
}

bool IsValidUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    if (static_cast<uint8_t>(text[i]) < 0x80) {
      ++i;
      continue;
    }
    const int length = Utf8SequenceLength(text, i);
    if (length < 0) return false;
    i += length;
  }
  return true;
}

size_t IncompleteUtf8Tail(std::string_view text) {
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const size_t i = text.size() - back;
    if ((static_cast<uint8_t>(text[i]) & 0xC0) == 0x80) continue;  // look for the lead byte
    const auto lead = static_cast<uint8_t>(text[i]);
    const size_t wanted = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    const bool truncated = lead >= 0xC2 && lead <= 0xF4 && back < wanted &&
                           Utf8SequenceLength(text, i) == -static_cast<int>(back);
    return truncated ? back : 0;
  }
  return 0;
}

std::string ToValidUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const int length = Utf8SequenceLength(text, i);
    if (length > 0) {
      out.append(text, i, length);
    } else {
      AppendUtf8(0xFFFD, &out);
    }
    i += length > 0 ? length : -length;
  }
  return out;
}

}  // namespace lorikeet
