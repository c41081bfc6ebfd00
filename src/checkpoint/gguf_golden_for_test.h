// The GGUF files of tests/golden/gguf (tools/gguf_goldens.py).
#pragma once
#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

namespace lorikeet {

inline std::string GgufGolden(const std::string& name) {
  return std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/gguf/" + name;
}

// NAME of every tiny_NAME.gguf, sorted: an architecture is tested as soon as its file is there.
inline std::vector<std::string> GgufGoldenArchitectures() {
  const std::string prefix = "tiny_";
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(GgufGolden(""))) {
    const std::string stem = entry.path().stem().string();
    if (entry.path().extension() == ".gguf" && stem.starts_with(prefix)) {
      names.push_back(stem.substr(prefix.size()));
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace lorikeet
