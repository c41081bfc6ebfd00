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

// 'text' for a message: one line of valid UTF-8, control characters as blanks, cut after 60 bytes.
std::string Quoted(std::string_view text);
// 'name' of a tensor, module or key for a message: bytes other than printable ASCII as ?, the
// middle of more than 120 bytes left out.
std::string QuotedName(std::string_view name);
// `text` without characters that move a cursor: control characters (C0, DEL, C1) as \n or \x1b,
// ill-formed UTF-8 as U+FFFD. keep: characters that stay as they are ("\n\t").
std::string WithoutControls(std::string_view text, std::string_view keep = {});
// "text" as a JSON string: one line from which the text can be read back.
std::string JsonQuoted(std::string_view text);

}  // namespace lorikeet
