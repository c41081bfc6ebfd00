#include "study/figure.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <set>
#include <span>
#include <sstream>

#include "core/error.h"
#include "core/file.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

std::string FindProgram(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::string candidate = folder;
    candidate.append("/").append(name);
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return "";
}

bool RunProgram(const std::string& program, const std::string& argument) {
  std::string first = program, second = argument;
  std::array<char*, 3> argv = {first.data(), second.data(), nullptr};
  pid_t child = 0;
  if (posix_spawn(&child, program.c_str(), nullptr, nullptr, argv.data(), environ) != 0) {
    return false;
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return false;
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::string Number(double x) { return std::isfinite(x) ? fmt::format("{:.6g}", x) : "NaN"; }

std::string CsvText(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

// Text in double quotes for a gnuplot script with enhanced text off.
std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

// A colour scale from dark blue over green to yellow, dark enough on white at both ends.
std::string Shade(int shade) {
  struct Colour {
    double r, g, b;
  };
  constexpr std::array<Colour, 4> kStops = {
      {{68, 20, 110}, {44, 100, 160}, {40, 150, 110}, {205, 170, 30}}};
  const double at = std::clamp(shade, 0, 100) / 100.0 * (kStops.size() - 1);
  const size_t i = std::min(static_cast<size_t>(at), kStops.size() - 2);
  const double t = at - static_cast<double>(i);
  const auto mix = [t](double a, double b) { return static_cast<int>(std::lerp(a, b, t)); };
  return fmt::format("#{:02x}{:02x}{:02x}", mix(kStops[i].r, kStops[i + 1].r),
                     mix(kStops[i].g, kStops[i + 1].g), mix(kStops[i].b, kStops[i + 1].b));
}

constexpr std::array kColours = {"#c0392b", "#2471a3", "#1e8449", "#d68910", "#7d3c98", "#16a5b5"};

std::string ColourOf(const Series& series, size_t index) {
  if (series.shade == -2) return "#202020";
  return series.shade >= 0 ? Shade(series.shade) : kColours[index % kColours.size()];
}

// True if the series repeats a colour; it then has dotted lines and triangles.
bool ColourComesAgain(const Series& series, size_t index) {
  return series.shade == -1 && index >= kColours.size();
}

std::string DataBlocks(const Figure& figure) {
  std::string text;
  for (size_t i = 0; i < figure.series.size(); ++i) {
    const Series& s = figure.series[i];
    text += fmt::format("$data{} << EOD\n", i);
    for (size_t j = 0; j < s.x.size(); ++j) {
      const bool band = j < s.low.size() && j < s.high.size();
      text += fmt::format("{} {} {} {}\n", Number(s.x[j]), Number(s.y[j]),
                          Number(band ? s.low[j] : s.y[j]), Number(band ? s.high[j] : s.y[j]));
    }
    text += "EOD\n";
  }
  return text;
}

bool Drawable(const Series& series) {
  for (size_t i = 0; i < series.x.size(); ++i) {
    if (std::isfinite(series.x[i]) && std::isfinite(series.y[i])) return true;
  }
  return false;
}

// The range of a figure's values on one axis; values that are not finite, or not positive on a
// logarithmic axis, are ignored.
class Range {
 public:
  explicit Range(bool log) : log_(log) {}
  void Add(double value) {
    if (!std::isfinite(value) || (log_ && value <= 0)) return;
    const double at = log_ ? std::log(value) : value;
    low_ = std::min(low_, at);
    high_ = std::max(high_, at);
  }
  bool empty() const { return low_ > high_; }
  bool Has(double value) const { return value >= low() && value <= high(); }
  double low() const { return log_ ? std::exp(low_) : low_; }
  double high() const { return log_ ? std::exp(high_) : high_; }
  // Extends to cover `other`, at each end by at most `share` of its own span.
  void Stretch(const Range& other, double share) {
    if (other.empty()) return;
    const double by = share * (high_ - low_);
    low_ = std::max(std::min(low_, other.low_), low_ - by);
    high_ = std::min(std::max(high_, other.high_), high_ + by);
  }
  void Widen(double share) {
    double by = share * (high_ - low_);
    if (low_ == high_) by = log_ ? 0.5 : std::max(0.05 * std::abs(low_), 1e-9);
    low_ -= by;
    high_ += by;
  }

 private:
  bool log_;
  double low_ = std::numeric_limits<double>::infinity();
  double high_ = -std::numeric_limits<double>::infinity();
};

// The y range is chosen by the lines; long error bars (few seeds) are cut off.
Range YRange(const Figure& figure) {
  Range lines(figure.log_y), bands(figure.log_y);
  for (const Series& s : figure.series) {
    for (const double y : s.y) lines.Add(std::min(y, figure.y_max));
    for (const double y : s.low) bands.Add(std::min(y, figure.y_max));
    for (const double y : s.high) bands.Add(std::min(y, figure.y_max));
  }
  lines.Stretch(bands, 0.4);
  lines.Widen(0.03);
  return lines;
}

// True if all bands lie within the figure. Bands beyond it are not clipped cleanly, error bars are.
bool FitAsBands(const Figure& figure, const Range& range) {
  const auto outside = [&](double y) { return std::isfinite(y) && !range.Has(y); };
  return std::none_of(figure.series.begin(), figure.series.end(), [&](const Series& s) {
    return std::any_of(s.low.begin(), s.low.end(), outside) ||
           std::any_of(s.high.begin(), s.high.end(), outside);
  });
}

// The ending " on MODULES" of labels, if all labels with such an ending have the same one: it is
// moved to the legend's title. "" if there is none to move.
std::string SharedEnding(const Figure& figure) {
  std::string shared;
  int count = 0;
  for (const Series& s : figure.series) {
    const size_t at = s.label.find(" on ");
    if (!Drawable(s) || at == std::string::npos) continue;
    if (count++ > 0 && s.label.substr(at) != shared) return "";
    shared = s.label.substr(at);
  }
  return count > 1 ? shared : "";
}

std::string WithoutEnding(const std::string& label, const std::string& ending) {
  return label.substr(0, label.size() - (label.ends_with(ending) ? ending.size() : 0));
}

std::string PlotLines(const Figure& figure, const Range& range, const std::string& ending) {
  std::vector<std::string> parts;
  const bool bands = FitAsBands(figure, range);
  for (size_t i = 0; i < figure.series.size(); ++i) {
    const Series& s = figure.series[i];
    if (!Drawable(s)) continue;
    const std::string colour = ColourOf(s, i);
    const bool known =
        std::any_of(s.low.begin(), s.low.end(), [](double x) { return std::isfinite(x); });
    if (known && bands && s.line) {
      parts.push_back(fmt::format(
          "$data{} using 1:3:4 with filledcurves fc rgb \"{}\" fs transparent solid 0.13 noborder "
          "notitle",
          i, colour));
    } else if (known) {
      parts.push_back(fmt::format(
          "$data{} using 1:2:3:4 with yerrorbars lc rgb \"{}\" lw 1.5 pt 0 notitle", i, colour));
    }
    const char* style = s.line && s.points ? "linespoints" : s.line ? "lines" : "points";
    const bool again = ColourComesAgain(s, i);
    const char* points = !s.points ? "" : again ? "pt 9 ps 0.8" : "pt 7 ps 0.55";
    parts.push_back(fmt::format("$data{} using 1:2 with {} lc rgb \"{}\" lw 2 dt {} {} title {}", i,
                                style, colour,
                                s.dashed ? 2
                                : again  ? 3
                                         : 1,
                                points, Quoted(WithoutEnding(s.label, ending))));
  }
  std::string text = "plot ";
  for (size_t i = 0; i < parts.size(); ++i) text += (i > 0 ? ", \\\n  " : "") + parts[i];
  return text + "\n";
}

// Leading digits of the tics of a logarithmic axis of few decades, where powers of ten alone give
// too few tics; "" for a wider axis.
std::string TicsBetweenPowers(char axis, const Range& range, std::span<const int> digits) {
  constexpr double kFewDecades = 120;
  if (range.high() > kFewDecades * range.low()) return "";
  std::vector<std::string> tics;
  for (int k = static_cast<int>(std::floor(std::log10(range.low())));
       std::pow(10.0, k) < range.high(); ++k) {
    for (const int digit : digits) {
      const std::string tic = fmt::format("{}e{}", digit, k);
      if (range.Has(std::strtod(tic.c_str(), nullptr))) tics.push_back(tic);
    }
  }
  return fmt::format("set {}tics ({})\n", axis, fmt::join(tics, ","));
}

std::string XAxis(const Figure& figure) {
  Range range(figure.log_x);
  std::set<double> values;
  for (const Series& s : figure.series) {
    for (size_t i = 0; i < s.x.size(); ++i) {
      if (!std::isfinite(s.x[i]) || s.y[i] > figure.y_max) continue;
      range.Add(s.x[i]);
      values.insert(s.x[i]);
    }
  }
  if (!figure.log_x || values.empty()) return "";
  std::string text = "set logscale x\nset format x \"%.0e\"\n";
  range.Widen(0.03);
  text += fmt::format("set xrange [{:.6g}:{:.6g}]\n", range.low(), range.high());
  constexpr std::array kDigits = {1, 2, 5};
  // Steps and ranks are easier to read as plain numbers than as powers of ten.
  if (*values.begin() < 1 || *values.rbegin() >= 1e6) {
    return text + TicsBetweenPowers('x', range, kDigits);
  }
  constexpr size_t kMaxTics = 8;
  text += "set format x \"%g\"\n";
  if (values.size() <= kMaxTics) text += fmt::format("set xtics ({:g})\n", fmt::join(values, ","));
  return text;
}

std::string YAxis(const Figure& figure, const Range& range) {
  if (range.empty()) return "";
  std::string text = fmt::format("set yrange [{:.6g}:{:.6g}]\n", range.low(), range.high());
  if (!figure.log_y) return text;
  constexpr std::array kDigits = {1, 2, 3, 5, 7};
  return text + "set logscale y\n" + TicsBetweenPowers('y', range, kDigits);
}

std::string Script(const Figure& figure, const std::string& base) {
  std::string text = "set encoding utf8\n" + DataBlocks(figure);
  text += fmt::format(
      "set title {}\nset xlabel {}\nset ylabel {}\n"
      "set border 3 lc rgb \"#808080\"\nset tics nomirror textcolor rgb \"#404040\"\n"
      "set grid lc rgb \"#e4e4e4\" lt 1\nset key outside right top vertical Left reverse samplen 2 "
      "noenhanced\nset bmargin 4\n",
      Quoted(figure.title), Quoted(figure.xlabel), Quoted(figure.ylabel));
  const std::string ending = SharedEnding(figure);
  if (!ending.empty()) {
    text += fmt::format("set key title {} left\n", Quoted("adapters" + ending));
  }
  text += XAxis(figure);
  const Range range = YRange(figure);
  text += YAxis(figure, range);
  const std::string plot = PlotLines(figure, range, ending);
  return text +
         fmt::format(
             "set terminal svg size 860,480 dynamic noenhanced font \"Helvetica,13\" background "
             "\"#ffffff\" name {}\nset output {}\n{}"
             "set terminal pngcairo size 1290,720 noenhanced font \"Helvetica,15\" background "
             "\"#ffffff\"\nset output {}\nreplot\n",
             Quoted(figure.name), Quoted(base + ".svg"), plot, Quoted(base + ".png"));
}

}  // namespace

std::string FigureCsv(const Figure& figure) {
  std::string csv = "series,x,y,low,high\n";
  for (const Series& s : figure.series) {
    for (size_t i = 0; i < s.x.size(); ++i) {
      const auto cell = [&](const std::vector<double>& v) {
        return i < v.size() && std::isfinite(v[i]) ? fmt::format("{:.9g}", v[i]) : std::string();
      };
      csv += fmt::format("{},{},{},{},{}\n", CsvText(s.label), cell(s.x), cell(s.y), cell(s.low),
                         cell(s.high));
    }
  }
  return csv;
}

bool HaveGnuplot() { return !FindProgram("gnuplot").empty(); }

std::string DrawFigure(const Figure& figure, const std::string& dir) {
  const std::string base = dir + "/" + figure.name;
  WriteFileAtomically(base + ".csv", FigureCsv(figure));
  const std::string gnuplot = FindProgram("gnuplot");
  const bool any = std::any_of(figure.series.begin(), figure.series.end(), Drawable);
  if (gnuplot.empty() || !any) return "";
  const std::string script = base + ".gp";
  WriteFileAtomically(script, Script(figure, base));
  if (!RunProgram(gnuplot, script)) {
    Fail(ErrorCode::kIo, "gnuplot could not draw {}; `gnuplot {}` shows why", figure.name, script);
  }
  fs::remove(script);
  return ReadFile(base + ".svg");
}

}  // namespace lorikeet
