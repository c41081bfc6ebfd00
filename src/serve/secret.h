// Comparison of secrets in a time that does not depend on where they differ.
#pragma once
#include <string_view>

namespace lorikeet {

bool SameSecret(std::string_view given, std::string_view expected);

}  // namespace lorikeet
