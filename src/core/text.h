// Helpers for text: trimming, ASCII classes and case, and quoting for messages.
#pragma once
#include <string>
#include <string_view>

namespace lorikeet {

bool IsSpace(char c);  // blank, tab, line feed, carriage return, form feed
bool IsAsciiDigit(char c);
bool IsAsciiLetter(char c);
std::string_view Trimmed(std::string_view text);  // without white space around it
std::string LowerAscii(std::string_view text);    // A-Z only
std::string Quoted(std::string_view text);        // 'text', one line, cut, valid UTF-8

}  // namespace lorikeet
