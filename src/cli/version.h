// The version of the program.
#pragma once

namespace lorikeet {

// From project(VERSION) in CMakeLists.txt.
#ifdef LORIKEET_VERSION
inline constexpr const char* kVersion = LORIKEET_VERSION;
#else
inline constexpr const char* kVersion = "(unversioned build)";
#endif

}  // namespace lorikeet
