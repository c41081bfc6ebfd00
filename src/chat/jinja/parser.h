// Template text -> AST.
#pragma once
#include <string_view>

#include "chat/jinja/ast.h"

namespace lorikeet::jinja {

struct Template {
  Block body;
  bool has_generation = false;  // it marks the assistant's words with {% generation %}
};

// Throws Error whose message begins with "line N: "; kUnsupported for constructs that Jinja has and
// this engine has not (include, import, extends, block, autoescape, recursive loops).
Template Parse(std::string_view source);

}  // namespace lorikeet::jinja
