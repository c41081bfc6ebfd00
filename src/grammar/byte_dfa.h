// A `ByteDfa` is a deterministic automaton over the bytes of a text: a set of strings in UTF-8.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lorikeet {

class ByteDfa {
 public:
  // Most states of an automaton, which takes about a KiB for each.
  static constexpr size_t kMaxStates = 16'384;
  using Row = std::array<int32_t, 256>;  // by byte: the next state, or -1 for none

  // State 0 is the first. Throws Error(kUnsupported) above kMaxStates.
  int32_t AddState(bool accepts);
  void SetNext(int32_t state, int byte, int32_t to) { rows_[state][byte] = to; }
  void Accept(int32_t state) { accepts_[state] = true; }

  size_t size() const { return rows_.size(); }
  const Row& row(size_t state) const { return rows_[state]; }
  bool Accepts(size_t state) const { return accepts_[state]; }
  bool Matches(std::string_view text) const;

 private:
  std::vector<Row> rows_;
  std::vector<bool> accepts_;
};

// All texts in valid UTF-8 of min to max characters (max SIZE_MAX: no limit).
ByteDfa TextsOfLength(size_t min, size_t max);
ByteDfa TextsOf(const std::vector<std::string>& texts);  // exactly these
ByteDfa Both(const ByteDfa& a, const ByteDfa& b);
ByteDfa Without(const ByteDfa& a, const ByteDfa& b);  // those of `a` that are not in `b`

}  // namespace lorikeet
