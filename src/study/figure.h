// Figures, drawn by gnuplot; their data are written as CSV in any case.
#pragma once
#include <limits>
#include <string>
#include <vector>

#include "study/statistics.h"

namespace lorikeet {

struct Series {
  std::string label;
  std::vector<double> x, y;
  std::vector<double> low, high;  // bounds of y; empty: no band
  bool line = true, points = true;
  bool dashed = false;
  int shade = -1;  // 0 to 100: colour by order (rank); -1: a colour of its own; -2: black

  void Add(double at, double value) {
    x.push_back(at);
    y.push_back(value);
  }
  void Add(double at, const Interval& value) {
    Add(at, value.value);
    low.push_back(value.low);
    high.push_back(value.high);
  }
};

struct Figure {
  std::string name;  // stem of the files NAME.svg, NAME.png, NAME.csv
  std::string title, xlabel, ylabel;
  std::string caption;  // a sentence or two
  bool log_x = true, log_y = false;
  double y_max = std::numeric_limits<double>::infinity();  // larger values are cut off
  std::vector<Series> series;
};

// CSV with the header series,x,y,low,high.
std::string FigureCsv(const Figure& figure);
// True if the program gnuplot is installed.
bool HaveGnuplot();
// Writes dir/NAME.csv, and with gnuplot dir/NAME.svg and dir/NAME.png if there is any point to
// draw. Returns the SVG's text, "" if there is none. Throws Error(kIo).
std::string DrawFigure(const Figure& figure, const std::string& dir);

}  // namespace lorikeet
