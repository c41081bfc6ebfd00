// The regular expressions of adapter configs, which peft matches against module names with Python's
// re. Time is linear in name and pattern, whatever they are: configs come from strangers.
#pragma once
#include <bitset>
#include <string>
#include <string_view>
#include <vector>

namespace lorikeet {

class ModuleRegex {
 public:
  // Literals, ., classes, \d \w \s \b, groups, |, * + ? {m,n} (lazy ones too), ^ and $.
  // Throws Error naming `where` for what is not valid or not supported (look-around,
  // back-references), and for patterns that would become very large.
  ModuleRegex(std::string_view pattern, const std::string& where);

  bool FullMatch(std::string_view text) const;

  // One step of the machine. Jumps are relative, so that a piece of program can be repeated.
  struct Step {
    enum class Kind { kByte, kSplit, kJump, kBegin, kEnd, kBoundary, kNotBoundary, kMatch };
    Kind kind;
    int to = 0;                // kJump, and the other way of kSplit, whose first is the next step
    std::bitset<256> bytes{};  // kByte
  };

 private:
  std::vector<Step> program_;
};

}  // namespace lorikeet
