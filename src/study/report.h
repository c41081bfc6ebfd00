// A `Report` holds the results of an experiment: conclusions in words, findings as numbers beside
// the article's, tables and figures; written as files and as one page of HTML.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "study/figure.h"
#include "study/statistics.h"

namespace lorikeet {

enum class Agreement : uint8_t { kYes, kNo, kUndecided };

// A claim of the article and its measurement here.
struct Finding {
  std::string claim;    // "best rate of LoRA over that of full fine-tuning, rank 64"
  std::string article;  // the article's statement, with its numbers
  Interval here;
  Agreement agrees = Agreement::kUndecided;
  int runs = 0;  // number of runs that it is computed from
};

// Yes if the interval lies inside [from, to], no if outside, undecided if it contains a bound or is
// not known.
Agreement AgreesWith(const Interval& here, double from, double to);
const char* AgreementName(Agreement agreement);

struct Table {
  std::string name, title;  // stem of the file, heading
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
};

struct Report {
  std::string experiment, title, question;
  std::vector<std::string> conclusions;  // a sentence or two each
  std::vector<Finding> findings;
  std::vector<Figure> figures;
  std::vector<Table> tables;
  std::vector<std::string> notes;                          // method and limitations
  std::vector<std::pair<std::string, std::string>> files;  // further files: name, text
};

Json FindingsJson(const Report& report);
// Writes dir/findings.json, TABLE.csv, FIGURE.csv, .svg, .png and report.files. Returns the
// report's section of the page.
std::string WriteReport(const Report& report, const std::string& dir);
// A page that needs no other file.
std::string HtmlPage(const std::string& title, const std::vector<std::string>& sections);

std::string RateText(double rate);               // "2.15e-3"
std::string RateText(const Interval& interval);  // "2.2e-3 (1.8e-3 to 2.7e-3)"
std::string LossText(double loss);               // "1.2345"
std::string LossText(const Interval& interval);  // "1.2345 (1.2300 to 1.2400)"

}  // namespace lorikeet
