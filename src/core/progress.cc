#include "core/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "core/format.h"

namespace lorikeet {
namespace {

double SteadySeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool IsDumbTerminal() {
  const char* term = std::getenv("TERM");
  return term == nullptr || std::strcmp(term, "dumb") == 0;
}

// https://no-color.org: set and not empty.
bool ColourWanted() {
  const char* no_color = std::getenv("NO_COLOR");
  return no_color == nullptr || *no_color == '\0';
}

size_t TerminalWidth(std::FILE* out) {
  constexpr size_t kUsual = 80;
  winsize size{};
  if (ioctl(fileno(out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsual;
  return size.ws_col;
}

// A reader that is gone (a pipe into head) must not end a training run: write errors are ignored.
void Put(std::FILE* out, const std::string& text) {
  std::fputs(text.c_str(), out);
  std::fflush(out);
}

}  // namespace

Progress::Progress(Settings settings) : settings_(std::move(settings)) {
  if (!settings_.clock) settings_.clock = SteadySeconds;
  if (settings_.mode == Mode::kAuto) {
    const bool terminal = isatty(fileno(settings_.out)) != 0 && !IsDumbTerminal();
    settings_.mode = terminal ? Mode::kLine : Mode::kPlain;
  }
  colour_ = settings_.mode == Mode::kLine && ColourWanted();
  settings_.logging_steps = std::max<int64_t>(settings_.logging_steps, 1);
  start_ = settings_.clock();
}

Progress::~Progress() { Finish(); }

double Progress::Elapsed() const { return settings_.clock() - start_; }

std::string Progress::Line(const ProgressSample& sample) const {
  std::string line = sample.total > 0 ? fmt::format("step {}/{}", sample.step, sample.total)
                                      : fmt::format("step {}", sample.step);
  line += fmt::format("  {} {:.3f}", settings_.figure, sample.loss);
  if (sample.learning_rate >= 0) line += fmt::format("  lr {:.2e}", sample.learning_rate);
  if (sample.tokens_per_second > 0) line += fmt::format("  {:.0f} tok/s", sample.tokens_per_second);
  if (sample.peak_fraction > 0)
    line += fmt::format("  {:.0f}% of peak", sample.peak_fraction * 100);
  const double elapsed = Elapsed();
  line += "  " + HumanDuration(elapsed);
  const auto done_here = static_cast<double>(sample.step - settings_.first_step);
  if (sample.total > sample.step && done_here > 0) {
    const double each = sample.seconds_per_step > 0 ? sample.seconds_per_step : elapsed / done_here;
    line += "  ETA " + HumanDuration(each * static_cast<double>(sample.total - sample.step));
  }
  return line;
}

void Progress::Draw() {
  // A line wider than the terminal would wrap, and \r would no longer find its start. The last
  // column stays free.
  const size_t width = TerminalWidth(settings_.out);
  const std::string shown =
      line_.substr(0, width > 1 ? width - 1 : std::numeric_limits<size_t>::max());
  Put(settings_.out,
      fmt::format("\r{}{}{}\x1b[K", colour_ ? "\x1b[36m" : "", shown, colour_ ? "\x1b[0m" : ""));
  open_ = true;
}

void Progress::Update(const ProgressSample& sample) {
  if (settings_.mode == Mode::kQuiet) return;
  if (settings_.mode == Mode::kLine) {
    line_ = Line(sample);
    Draw();
    return;
  }
  const bool last = sample.total > 0 && sample.step >= sample.total;
  if (sample.step % settings_.logging_steps != 0 && sample.step != settings_.first_step + 1 &&
      !last)
    return;
  Put(settings_.out, Line(sample) + "\n");
}

void Progress::Note(const std::string& text) {
  if (settings_.mode == Mode::kQuiet) return;
  const bool redraw = open_;
  Put(settings_.out, (redraw ? "\r\x1b[K" : "") + text + "\n");
  if (redraw) Draw();
}

void Progress::Finish() {
  if (!open_) return;
  Put(settings_.out, "\n");
  open_ = false;
}

}  // namespace lorikeet
