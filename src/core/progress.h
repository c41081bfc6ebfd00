// `Progress` prints the progress line of a run. On a terminal it is rewritten in place; elsewhere
// one plain line is printed every logging_steps steps.
#pragma once
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>

namespace lorikeet {

struct ProgressSample {
  int64_t step = 0, total = 0;   // total 0: not known
  double loss = 0;               // nats, or the quantity that Settings::figure names
  double learning_rate = 0;      // < 0: left out
  double tokens_per_second = 0;  // <= 0: left out
  double peak_fraction = 0;      // fraction of the measured matmul peak; <= 0: left out
  double seconds_per_step = 0;   // for the ETA; <= 0: from the time since construction
};

class Progress {
 public:
  enum class Mode : uint8_t { kAuto, kLine, kPlain, kQuiet };
  struct Settings {
    std::FILE* out = stderr;
    Mode mode = Mode::kAuto;  // kLine on a terminal (TERM not "dumb"), else kPlain
    int64_t logging_steps = 1;
    const char* figure = "loss";         // name of a sample's first figure
    int64_t first_step = 0;              // steps done before this process, not counted for the ETA
    std::function<double()> clock = {};  // in seconds; a steady clock if empty
  };
  explicit Progress(Settings settings);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Update(const ProgressSample& sample);
  // Prints a line of its own above the rewritten one: an evaluation, a checkpoint, a warning.
  void Note(const std::string& text);
  // Ends the rewritten line, which keeps its last state. Called by the destructor.
  void Finish();
  double Elapsed() const;  // seconds since construction

 private:
  std::string Line(const ProgressSample& sample) const;
  void Draw();

  Settings settings_;
  bool colour_ = false;
  double start_ = 0;
  std::string line_;   // the state on screen; empty if none
  bool open_ = false;  // whether the cursor is on a rewritten line
};

}  // namespace lorikeet
