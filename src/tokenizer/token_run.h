// A `TokenRun` collects the ids of a text, and the number of its bytes that each covers (kept on
// request).
#pragma once
#include <cstdint>
#include <vector>

namespace lorikeet {

struct TokenRun {
  explicit TokenRun(bool keep_lengths) : with_lengths(keep_lengths) {}
  void Add(int32_t id, uint32_t length) {
    ids.push_back(id);
    if (with_lengths) lengths.push_back(length);
  }
  std::vector<int32_t> ids;
  std::vector<uint32_t> lengths;
  bool with_lengths;
};

}  // namespace lorikeet
