// `Profile` sums the wall time of a step by named parts, on the thread that runs the step. Off by
// default; then a part costs one test of a flag.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace lorikeet {

class Profile {
 public:
  struct Part {
    std::string name;
    int64_t calls = 0;
    double seconds = 0;
  };
  static void Enable(bool on) { enabled_ = on; }
  static bool enabled() { return enabled_; }
  static void Reset();
  static std::vector<Part> Parts();  // in descending order of time
  static void Add(const char* name, double seconds);

 private:
  static inline bool enabled_ = false;
};

// Adds the time from its construction to the end of its scope to the part `name`. Parts must not
// nest.
class TimedPart {
 public:
  explicit TimedPart(const char* name) : name_(Profile::enabled() ? name : nullptr) {
    if (name_ != nullptr) begin_ = std::chrono::steady_clock::now();
  }
  ~TimedPart() {
    if (name_ == nullptr) return;
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin_;
    Profile::Add(name_, passed.count());
  }
  TimedPart(const TimedPart&) = delete;
  TimedPart& operator=(const TimedPart&) = delete;

 private:
  const char* name_;
  std::chrono::steady_clock::time_point begin_;
};

}  // namespace lorikeet
