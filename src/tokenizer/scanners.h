// Hand-written scanners for the pre-tokenizer patterns of most models: the same pieces as the
// regular expression (scanners_test), many times faster.
#pragma once
#include <string_view>
#include <vector>

#include "tokenizer/unicode.h"

namespace lorikeet {

// GPT-2's pattern, the default of a ByteLevel pre-tokenizer.
extern const char kGpt2Pattern[];
extern const char kLlama3Pattern[];
extern const char kQwen2Pattern[];

// Appends the pieces of text[piece] (as spans of `text`, which is valid UTF-8).
using Scanner = void (*)(std::string_view text, Span piece, std::vector<Span>* pieces);

void ScanGpt2(std::string_view text, Span piece, std::vector<Span>* pieces);
void ScanLlama3(std::string_view text, Span piece, std::vector<Span>* pieces);
void ScanQwen2(std::string_view text, Span piece, std::vector<Span>* pieces);

// The scanner equivalent to `pattern`; null if there is none.
Scanner ScannerOf(std::string_view pattern);

}  // namespace lorikeet
