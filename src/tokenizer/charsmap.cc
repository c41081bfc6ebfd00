#include "tokenizer/charsmap.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "core/utf8.h"

namespace lorikeet {
namespace {

constexpr size_t kMaxGrapheme = 5;  // bytes of a grapheme that is looked up as a whole

uint32_t ReadWord(std::string_view bytes, size_t at) {
  uint32_t word = 0;
  for (int i = 3; i >= 0; --i) word = word << 8 | static_cast<uint8_t>(bytes[at + i]);
  return word;
}

// Parts of a unit of the double array.
bool HasLeaf(uint32_t unit) { return unit >> 8 & 1; }
uint32_t Value(uint32_t unit) { return unit & 0x7FFFFFFF; }
uint32_t Label(uint32_t unit) { return unit & 0x800000FF; }
uint32_t Offset(uint32_t unit) { return unit >> 10 << ((unit & 1u << 9) >> 6); }

// End of the grapheme cluster that begins at `begin`.
size_t GraphemeEnd(std::string_view text, size_t begin) {
  size_t length;
  auto code = static_cast<utf8proc_int32_t>(DecodeUtf8(text, begin, &length));
  utf8proc_int32_t state = 0;
  size_t end = begin + length;
  while (end < text.size()) {
    const auto next = static_cast<utf8proc_int32_t>(DecodeUtf8(text, end, &length));
    if (utf8proc_grapheme_break_stateful(code, next, &state)) break;
    code = next;
    end += length;
  }
  return end;
}

}  // namespace

Charsmap::Charsmap(std::string_view blob, const std::string& where) {
  const auto bad = [&where](const char* what) {
    Fail(ErrorCode::kCorruptFile, "{}: the precompiled charsmap {}; the file is damaged", where,
         what);
  };
  if (blob.size() < 4) bad("has no size");
  const size_t bytes = ReadWord(blob, 0);
  if (bytes > blob.size() - 4 || bytes % 4 != 0) bad("is shorter than its trie");
  if (bytes == 0) bad("has an empty trie");
  units_.resize(bytes / 4);
  for (size_t i = 0; i < units_.size(); ++i) units_[i] = ReadWord(blob, 4 + 4 * i);
  replacements_ = std::string(blob.substr(4 + bytes));
  // The texts are parts of this one, cut at zero bytes.
  if (!IsValidUtf8(replacements_)) bad("replaces characters by text that is not UTF-8");
}

std::optional<std::string_view> Charsmap::Find(std::string_view text, Which which,
                                               size_t* length) const {
  constexpr size_t kMaxKey = 1 << 10;
  std::optional<uint32_t> found;
  uint32_t node = Offset(units_[0]);
  for (size_t i = 0; i < std::min(text.size(), kMaxKey); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    node ^= byte;
    if (node >= units_.size() || Label(units_[node]) != byte) break;
    const uint32_t unit = units_[node];
    node ^= Offset(unit);
    if (node >= units_.size()) break;
    // A hostile trie may have keys that end within a character.
    const bool ends_char = i + 1 == text.size() || (text[i + 1] & 0xC0) != 0x80;
    if (!HasLeaf(unit) || !ends_char || Value(units_[node]) >= replacements_.size()) continue;
    found = Value(units_[node]);
    *length = i + 1;
    if (which == Which::kShortest) break;
  }
  if (!found || (replacements_[*found] & 0xC0) == 0x80) return std::nullopt;
  return std::string_view(replacements_)
      .substr(*found, std::strlen(replacements_.c_str() + *found));
}

void Charsmap::ReplaceLongest(AlignedText* text) const {
  const std::string_view view = text->view();
  Rewriter out(text);
  bool changed = false;
  for (size_t i = 0, length; i < view.size(); i += length) {
    DecodeUtf8(view, i, &length);
    const auto replacement = Find(view.substr(i), Which::kLongest, &length);
    const Span span{static_cast<uint32_t>(i), static_cast<uint32_t>(i + length)};
    replacement ? out.Put(*replacement, span) : out.Copy(span.begin, span.end);
    changed |= replacement.has_value();
  }
  if (changed) out.Commit();
}

void Charsmap::ReplaceGraphemes(AlignedText* text) const {
  const std::string_view view = text->view();
  Rewriter out(text);
  bool changed = false;
  for (size_t begin = 0; begin < view.size();) {
    const size_t end = GraphemeEnd(view, begin);
    const bool whole = end - begin <= kMaxGrapheme;
    for (size_t i = begin, length; i < end; i += length) {
      DecodeUtf8(view, i, &length);
      size_t ignored;
      const auto grapheme = whole && i == begin
                                ? Find(view.substr(begin, end - begin), Which::kShortest, &ignored)
                                : std::nullopt;
      if (grapheme) length = end - begin;
      const auto found =
          grapheme ? grapheme : Find(view.substr(i, length), Which::kShortest, &ignored);
      const Span span{static_cast<uint32_t>(i), static_cast<uint32_t>(i + length)};
      found ? out.Put(*found, span) : out.Copy(span.begin, span.end);
      changed |= found.has_value();
    }
    begin = end;
  }
  if (changed) out.Commit();
}

}  // namespace lorikeet
