// The parser: template text to AST.
#pragma once
#include <string_view>

#include "chat/jinja/ast.h"

namespace lorikeet::jinja {

struct Template {
  Block body;
  bool has_generation = false;  // whether it marks the assistant's words with {% generation %}
};

// Throws Error whose message begins with "line N: "; kUnsupported for constructs of Jinja that this
// engine does not have (include, import, extends, block, autoescape, recursive loops).
Template Parse(std::string_view source);

}  // namespace lorikeet::jinja
