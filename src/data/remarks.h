// A `RemarkCounter` counts the remarks about the rows of a file by their text, for notes to the
// user.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/turns.h"

namespace lorikeet {

class RemarkCounter {
 public:
  // All remarks of one row: a text that occurs several times among them counts once. `place` names
  // the row ("line 7").
  void Add(const std::string& place, std::span<const Remark> remarks);
  // "TEXT (the first: line 7, message 2); such rows: 3", a line for each text, sorted by when it
  // first occurred.
  std::vector<std::string> Notes() const;

 private:
  struct Counted {
    std::string text, first;
    int64_t rows = 0, last_row = 0;
  };
  std::vector<Counted> counted_;
  int64_t row_ = 0;  // number of rows added
};

}  // namespace lorikeet
