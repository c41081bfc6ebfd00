// Figures, drawn by gnuplot; the numbers behind each are written as CSV whether it is there or not.
#pragma once
#include <limits>
#include <string>
#include <vector>

#include "study/statistics.h"

namespace lorikeet {

struct Series {
  std::string label;
  std::vector<double> x, y;
  std::vector<double> low, high;  // of y; empty: no band
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
  std::string name;  // of the files: NAME.svg, NAME.png, NAME.csv
  std::string title, xlabel, ylabel;
  std::string caption;  // a sentence or two
  bool log_x = true, log_y = false;
  double y_max = std::numeric_limits<double>::infinity();  // what lies above is cut off
  std::vector<Series> series;
};

// series,x,y,low,high
std::string FigureCsv(const Figure& figure);
// Whether the program gnuplot is there.
bool HaveGnuplot();
// dir/NAME.csv always; dir/NAME.svg and dir/NAME.png with gnuplot, if there is any point to draw.
// Returns the SVG's text, "" where there is none. Throws Error(kIo).
std::string DrawFigure(const Figure& figure, const std::string& dir);

}  // namespace lorikeet
