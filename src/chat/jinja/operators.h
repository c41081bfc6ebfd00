// Python's operators on template values. All throw Error where Python raises, with Python's reason.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "chat/jinja/value.h"

namespace lorikeet::jinja {

// op: + - * / // % **
Value BinaryOperator(std::string_view op, const Value& a, const Value& b, Budget& budget);
Value UnaryOperator(std::string_view op, const Value& a);
bool Contains(const Value& container, const Value& item, Budget& budget);

// value.name: a method first, then an entry, else undefined.
Value GetAttribute(const Value& value, const std::string& name, Budget& budget);
// value[key]: an entry first, then a method, else undefined.
Value GetItem(const Value& value, const Value& key, Budget& budget);
// value[begin:end:step]; None stands for an absent part.
Value Slice(const Value& value, const Value& begin, const Value& end, const Value& step,
            Budget& budget);

// text % arguments, with %s %r %d %i %u %f %F %e %g %x %X %o %c %% and flags, width and precision.
Value PrintfFormat(const Value& text, const Value& arguments, Budget& budget);
// str.format with {} {0} {name} and the conversions !s !r; Error for everything else.
Value BraceFormat(const std::string& text, const CallArguments& arguments, Budget& budget);

// A bound method of `self`, or nothing. Methods that would change a value are undefined values.
std::optional<Value> Method(const Value& self, const std::string& name, Budget& budget);

std::string EscapeHtml(std::string_view text);

}  // namespace lorikeet::jinja
