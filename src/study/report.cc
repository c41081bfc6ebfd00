#include "study/report.h"

#include <fmt/format.h>

#include <cmath>

#include "core/file.h"

namespace lorikeet {
namespace {

std::string Escaped(const std::string& text) {
  std::string html;
  for (const char c : text) {
    if (c == '&') {
      html += "&amp;";
    } else if (c == '<') {
      html += "&lt;";
    } else if (c == '>') {
      html += "&gt;";
    } else if (c == '"') {
      html += "&quot;";
    } else {
      html += c;
    }
  }
  return html;
}

std::string TableCsv(const Table& table) {
  std::string csv;
  const auto add = [&csv](const std::vector<std::string>& row) {
    for (size_t i = 0; i < row.size(); ++i) {
      std::string cell;
      for (const char c : row[i]) cell += c == '"' ? "\"\"" : std::string(1, c);
      csv += fmt::format("{}\"{}\"", i > 0 ? "," : "", cell);
    }
    csv += "\n";
  };
  add(table.header);
  for (const auto& row : table.rows) add(row);
  return csv;
}

// A link with the file's content as a data URL, so that the page needs no other file.
std::string DataLink(const std::string& name, const std::string& text) {
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    encoded += std::isalnum(byte) != 0 || c == ',' || c == '.' || c == '-'
                   ? std::string(1, c)
                   : fmt::format("%{:02X}", byte);
  }
  return fmt::format("<a download=\"{}.csv\" href=\"data:text/csv;charset=utf-8,{}\">numbers</a>",
                     name, encoded);
}

std::string TableHtml(const Table& table) {
  std::string html =
      fmt::format("<h3>{}</h3>\n<div class=\"wide\"><table>\n<tr>", Escaped(table.title));
  for (const std::string& cell : table.header) html += "<th>" + Escaped(cell) + "</th>";
  html += "</tr>\n";
  for (const auto& row : table.rows) {
    html += "<tr>";
    for (const std::string& cell : row) html += "<td>" + Escaped(cell) + "</td>";
    html += "</tr>\n";
  }
  return html + "</table></div>\n<p class=\"small\">" + DataLink(table.name, TableCsv(table)) +
         "</p>\n";
}

std::string FigureHtml(const Figure& figure, std::string svg) {
  const size_t begin = svg.find("<svg");
  std::string html = "<figure>\n";
  if (begin != std::string::npos) {
    html += svg.substr(begin);
  } else {
    html += fmt::format("<p class=\"small\">{}: not drawn, for want of gnuplot or of points.</p>\n",
                        Escaped(figure.title));
  }
  return html + fmt::format("<figcaption>{} {}</figcaption>\n</figure>\n", Escaped(figure.caption),
                            DataLink(figure.name, FigureCsv(figure)));
}

std::string FindingsHtml(const Report& report) {
  if (report.findings.empty()) return "";
  std::string html =
      "<h3>Beside the article</h3>\n<div class=\"wide\"><table>\n<tr><th>claim</th><th>article</th>"
      "<th>here (95 % interval)</th><th>agrees</th><th>runs</th></tr>\n";
  for (const Finding& finding : report.findings) {
    html += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"{}\">{}</td><td>{}</td></tr>\n",
        Escaped(finding.claim), Escaped(finding.article), Escaped(finding.here.Text()),
        AgreementName(finding.agrees), AgreementName(finding.agrees), finding.runs);
  }
  return html + "</table></div>\n";
}

constexpr const char* kStyle =
    R"(body{font:16px/1.5 -apple-system,"Segoe UI",Helvetica,Arial,sans-serif;color:#222;
max-width:58rem;margin:2rem auto;padding:0 1rem}h1{font-size:1.7rem;margin-bottom:.2rem}h2{font-size:1.35rem;margin-top:2.5rem;
border-top:1px solid #ddd;padding-top:1.2rem}h3{font-size:1.02rem;margin:1.6rem 0 .4rem}figure{margin:1.4rem 0}
figure svg{width:100%;height:auto}figcaption,.small{font-size:.87rem;color:#555}.question{font-style:italic;color:#444}
.conclusions{background:#f4f7f4;border-left:4px solid #3c8d5a;padding:.6rem 1.2rem;margin:1rem 0}
.conclusions li{margin:.35rem 0}table{border-collapse:collapse;font-size:.87rem}th,td{text-align:left;padding:.28rem .7rem;
border-bottom:1px solid #e6e6e6;vertical-align:top}th{color:#555;font-weight:600}.wide{overflow-x:auto}
td.yes{color:#1e8449;font-weight:600}td.no{color:#c0392b;font-weight:600}td.undecided{color:#b9770e;font-weight:600})";

}  // namespace

Agreement AgreesWith(const Interval& here, double from, double to) {
  if (!here.Known()) return Agreement::kUndecided;
  if (here.low >= from && here.high <= to) return Agreement::kYes;
  return here.Overlaps(from, to) ? Agreement::kUndecided : Agreement::kNo;
}

const char* AgreementName(Agreement agreement) {
  switch (agreement) {
    case Agreement::kYes:
      return "yes";
    case Agreement::kNo:
      return "no";
    default:
      return "undecided";
  }
}

Json FindingsJson(const Report& report) {
  // Rounded to six digits: the last ones depend on the machine's C library.
  const auto number = [](double x) {
    return std::isfinite(x) ? Json(std::stod(fmt::format("{:.6g}", x))) : Json();
  };
  Json list = Json::array();
  for (const Finding& finding : report.findings) {
    list.push_back({{"experiment", report.experiment},
                    {"claim", finding.claim},
                    {"article", finding.article},
                    {"here", number(finding.here.value)},
                    {"low", number(finding.here.low)},
                    {"high", number(finding.here.high)},
                    {"agrees", AgreementName(finding.agrees)},
                    {"runs", finding.runs}});
  }
  return list;
}

std::string WriteReport(const Report& report, const std::string& dir) {
  CreateFolders(dir);
  WriteFileAtomically(dir + "/findings.json", FindingsJson(report).dump(2) + "\n");
  for (const auto& [name, text] : report.files) WriteFileAtomically(dir + "/" + name, text);
  std::string html =
      fmt::format("<h2 id=\"{}\">{}</h2>\n<p class=\"question\">{}</p>\n", report.experiment,
                  Escaped(report.title), Escaped(report.question));
  html += "<ul class=\"conclusions\">\n";
  for (const std::string& sentence : report.conclusions) {
    html += "<li>" + Escaped(sentence) + "</li>\n";
  }
  html += "</ul>\n";
  for (const Figure& figure : report.figures) html += FigureHtml(figure, DrawFigure(figure, dir));
  html += FindingsHtml(report);
  for (const Table& table : report.tables) {
    WriteFileAtomically(dir + "/" + table.name + ".csv", TableCsv(table));
    html += TableHtml(table);
  }
  if (!report.notes.empty()) html += "<h3>How it was measured</h3>\n<ul class=\"small\">\n";
  for (const std::string& note : report.notes) html += "<li>" + Escaped(note) + "</li>\n";
  if (!report.notes.empty()) html += "</ul>\n";
  return html;
}

std::string HtmlPage(const std::string& title, const std::vector<std::string>& sections) {
  std::string html = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta "
      "name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n"
      "<style>{}</style>\n</head>\n<body>\n<h1>{}</h1>\n",
      Escaped(title), kStyle, Escaped(title));
  for (const std::string& section : sections) html += section;
  return html + "</body>\n</html>\n";
}

std::string RateText(double rate) {
  return std::isfinite(rate) ? fmt::format("{:.2e}", rate) : "unknown";
}

std::string RateText(const Interval& interval) {
  if (!interval.Known()) return RateText(interval.value);
  return fmt::format("{} ({} to {})", RateText(interval.value), RateText(interval.low),
                     RateText(interval.high));
}

std::string LossText(double loss) {
  return std::isfinite(loss) ? fmt::format("{:.4f}", loss) : "unknown";
}

std::string LossText(const Interval& interval) {
  if (!interval.Known()) return LossText(interval.value);
  return fmt::format("{} ({} to {})", LossText(interval.value), LossText(interval.low),
                     LossText(interval.high));
}

}  // namespace lorikeet
