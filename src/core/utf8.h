// UTF-8: decoding, encoding, validation and repair of text.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lorikeet {

// The code point at text[i]; its length (1-4) goes to *length. `text` is valid UTF-8, i < size.
inline uint32_t DecodeUtf8(std::string_view text, size_t i, size_t* length) {
  const auto* p = reinterpret_cast<const uint8_t*>(text.data()) + i;
  if (p[0] < 0x80) return *length = 1, p[0];
  if (p[0] < 0xE0) return *length = 2, (p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu);
  if (p[0] < 0xF0) {
    return *length = 3, (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
  }
  *length = 4;
  return (p[0] & 0x07u) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
}

// Start of the character that ends before text[i]. `text` is valid UTF-8, i > 0.
inline size_t PreviousChar(std::string_view text, size_t i) {
  do {
    --i;
  } while (i > 0 && (static_cast<uint8_t>(text[i]) & 0xC0) == 0x80);
  return i;
}

void AppendUtf8(uint32_t code, std::string* out);

// Length of the valid UTF-8 sequence at text[i] (1-4), or minus the length of the ill-formed part
// that one U+FFFD replaces ("maximal subpart" practice of Unicode, Python and Rust).
int Utf8SequenceLength(std::string_view text, size_t i);
bool IsValidUtf8(std::string_view text);
// Number of bytes at the end of `text` that begin an incomplete sequence (0-3).
size_t IncompleteUtf8Tail(std::string_view text);
// `text` with ill-formed parts replaced by U+FFFD.
std::string ToValidUtf8(std::string_view text);

}  // namespace lorikeet
