#include "study/figure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "study/statistics.h"
#include "study/study_for_test.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Figure Example() {
  Figure figure = {.name = "f", .title = "a \"title\"", .xlabel = "x", .ylabel = "y"};
  figure.series.push_back({.label = "one, two",
                           .x = {1, 10},
                           .y = {2, 3},
                           .low = {1.5, kUnknown},
                           .high = {2.5, kUnknown}});
  figure.series.push_back({.label = "empty"});
  return figure;
}

TEST(Figure, NumbersAreWrittenAsTheyAre) {
  EXPECT_EQ(FigureCsv(Example()),
            "series,x,y,low,high\n\"one, two\",1,2,1.5,2.5\n\"one, two\",10,3,,\n");
}

TEST(SlowFigure, GnuplotDraws) {
  if (!HaveGnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  const TemporaryFolder folder("study");
  EXPECT_THAT(DrawFigure(Example(), folder.path()), HasSubstr("<svg"));
  EXPECT_THAT(ReadFile(folder.path() + "/f.png"), HasSubstr("PNG"));
  Figure nothing = Example();
  nothing.series.erase(nothing.series.begin());
  EXPECT_EQ(DrawFigure(nothing, folder.path()), "");
}

TEST(SlowFigure, SeriesOfOneColourDifferInTheirLines) {
  if (!HaveGnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  const TemporaryFolder folder("study");
  Figure figure = Example();
  figure.series.assign(6, figure.series.front());
  EXPECT_THAT(DrawFigure(figure, folder.path()), Not(HasSubstr("stroke-dasharray")));
  figure.series.push_back(figure.series.front());
  EXPECT_THAT(DrawFigure(figure, folder.path()), HasSubstr("stroke-dasharray"));
}

TEST(SlowFigure, ModulesThatAllLabelsShareAreSaidOnce) {
  if (!HaveGnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  const TemporaryFolder folder("study");
  Figure figure = Example();
  figure.series = {figure.series.front(), figure.series.front(), figure.series.front()};
  figure.series[0].label = "full";
  figure.series[1].label = "rank 1 on mlp";
  figure.series[2].label = "rank 2 on mlp";
  std::string svg = DrawFigure(figure, folder.path());
  EXPECT_THAT(svg, HasSubstr("<text>adapters on mlp</text>"));
  EXPECT_THAT(svg, Not(HasSubstr("rank 1 on mlp")));
  EXPECT_THAT(svg, HasSubstr("rank 1"));
  EXPECT_THAT(FigureCsv(figure), HasSubstr("rank 1 on mlp"));
  figure.series[2].label = "rank 2 on attention";
  svg = DrawFigure(figure, folder.path());
  EXPECT_THAT(svg, HasSubstr("rank 1 on mlp"));
}

TEST(SlowFigure, AFewDecadesAreLabelledBetweenPowersOfTen) {
  if (!HaveGnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  const TemporaryFolder folder("study");
  Figure figure = Example();
  figure.series.front().x = {3e-4, 4e-3};
  EXPECT_THAT(DrawFigure(figure, folder.path()), HasSubstr("2e-03"));
  figure.series.front().x = {3e-7, 4e-3};
  EXPECT_THAT(DrawFigure(figure, folder.path()), Not(HasSubstr("2e-03")));
}

}  // namespace
}  // namespace lorikeet
