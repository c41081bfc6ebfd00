#include "tokenizer/scanners.h"

#include "core/utf8.h"

namespace lorikeet {

const char kGpt2Pattern[] =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const char kLlama3Pattern[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const char kQwen2Pattern[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

namespace {

// The characters of one piece of text.
class Cursor {
 public:
  Cursor(std::string_view text, Span piece)
      : text_(text.substr(0, piece.end)), classes_(CharClassTable()), end_(piece.end) {}

  uint32_t end() const { return end_; }
  char Byte(uint32_t i) const { return i < end_ ? text_[i] : '\0'; }
  // Class of the character at i and its length; at the end kOther, 0.
  CharClass At(uint32_t i, uint32_t* length) const {
    *length = 0;
    if (i >= end_) return kOther;
    const auto byte = static_cast<uint8_t>(text_[i]);
    if (byte < 0x80) return *length = 1, static_cast<CharClass>(classes_[byte]);
    size_t n;
    const uint32_t code = DecodeUtf8(text_, i, &n);
    *length = static_cast<uint32_t>(n);
    return static_cast<CharClass>(classes_[code]);
  }
  // End of the run of `wanted` that begins at i.
  uint32_t Run(uint32_t i, CharClass wanted) const {
    uint32_t length;
    while (i < end_ && At(i, &length) == wanted) i += length;
    return i;
  }
  uint32_t NewlineRun(uint32_t i) const {
    while (IsNewline(i)) ++i;
    return i;
  }
  bool IsNewline(uint32_t i) const { return i < end_ && (text_[i] == '\n' || text_[i] == '\r'); }

  // \s+(?!\S)|\s+ : the last space of a run belongs to the word after it.
  uint32_t SpaceRun(uint32_t i) const {
    const uint32_t run = Run(i, kSpace);
    if (run == end_) return run;
    const auto last = static_cast<uint32_t>(PreviousChar(text_, run));
    return last > i ? last : run;
  }

  // 's|'t|'re|'ve|'m|'ll|'d at i; returns its end, or i. Without case, U+017F is an s.
  uint32_t Contraction(uint32_t i, bool any_case) const {
    if (Byte(i) != '\'') return i;
    const auto letter = [&](uint32_t k) {
      const char c = Byte(k);
      return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    };
    switch (letter(i + 1)) {
      case 's':
      case 't':
      case 'm':
      case 'd':
        return i + 2;
      case 'r':
      case 'v':
        return letter(i + 2) == 'e' ? i + 3 : i;
      case 'l':
        return letter(i + 2) == 'l' ? i + 3 : i;
      case '\xC5':
        return any_case && Byte(i + 2) == '\xBF' ? i + 3 : i;
      default:
        return i;
    }
  }

 private:
  std::string_view text_;
  const uint8_t* classes_;
  uint32_t end_;
};

uint32_t NextGpt2(const Cursor& in, uint32_t i) {
  uint32_t length, next_length;
  const CharClass first = in.At(i, &length);
  if (first == kOther) {
    const uint32_t contraction = in.Contraction(i, false);
    if (contraction > i) return contraction;
  }
  if (first != kSpace) return in.Run(i + length, first);
  if (in.Byte(i) == ' ' && i + 1 < in.end()) {
    const CharClass second = in.At(i + 1, &next_length);
    if (second != kSpace) return in.Run(i + 1 + next_length, second);
  }
  return in.SpaceRun(i);
}

// Patterns of Llama 3's family: a word may include any one character before its letters, numbers
// come in groups of at most `kDigits`, line ends belong to the text before them.
template <int kDigits>
uint32_t NextLlama3(const Cursor& in, uint32_t i) {
  uint32_t length, next_length;
  const CharClass first = in.At(i, &length);
  if (first == kLetter) return in.Run(i + length, kLetter);
  if (first == kNumber) {
    uint32_t end = i + length;
    for (int n = 1; n < kDigits && in.At(end, &length) == kNumber && length > 0; ++n) end += length;
    return end;
  }
  const uint32_t contraction = in.Contraction(i, true);
  if (contraction > i) return contraction;
  const CharClass second = in.At(i + length, &next_length);
  const bool has_second = next_length > 0;
  if (has_second && second == kLetter && !in.IsNewline(i)) {
    return in.Run(i + length + next_length, kLetter);
  }
  if (first == kOther) return in.NewlineRun(in.Run(i + length, kOther));
  if (has_second && second == kOther && in.Byte(i) == ' ') {
    return in.NewlineRun(in.Run(i + 1 + next_length, kOther));
  }
  const uint32_t run = in.Run(i, kSpace);
  for (uint32_t k = run; k > i; --k) {
    if (in.IsNewline(k - 1)) return k;  // \s*[\r\n]+
  }
  return in.SpaceRun(i);
}

template <uint32_t (*kNext)(const Cursor&, uint32_t)>
void Scan(std::string_view text, Span piece, std::vector<Span>* pieces) {
  const Cursor in(text, piece);
  for (uint32_t i = piece.begin; i < piece.end;) {
    const uint32_t end = kNext(in, i);
    pieces->push_back({i, end});
    i = end;
  }
}

}  // namespace

void ScanGpt2(std::string_view text, Span piece, std::vector<Span>* pieces) {
  Scan<NextGpt2>(text, piece, pieces);
}
void ScanLlama3(std::string_view text, Span piece, std::vector<Span>* pieces) {
  Scan<NextLlama3<3>>(text, piece, pieces);
}
void ScanQwen2(std::string_view text, Span piece, std::vector<Span>* pieces) {
  Scan<NextLlama3<1>>(text, piece, pieces);
}

Scanner ScannerOf(std::string_view pattern) {
  if (pattern == kGpt2Pattern) return ScanGpt2;
  if (pattern == kLlama3Pattern) return ScanLlama3;
  if (pattern == kQwen2Pattern) return ScanQwen2;
  return nullptr;
}

}  // namespace lorikeet
