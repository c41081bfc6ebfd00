// Pairs of a reference and a completion with the verdict that mathematics gives
// (tests/golden/math).
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "core/json.h"
#include "verify/math/grader.h"

namespace lorikeet {
namespace {

void CheckPairs(const std::string& name) {
  const std::string path = LORIKEET_SOURCE_DIR "/tests/golden/math/" + name + ".jsonl";
  std::ifstream file(path);
  size_t rows = 0;
  for (std::string line; std::getline(file, line); ++rows) {
    const Json row = ParseJson(line, path);
    const Grade grade =
        GradeMath(row.at("reference").get<std::string>(), row.at("completion").get<std::string>());
    EXPECT_EQ(VerdictName(grade.verdict), row.at("right").get<std::string>())
        << line << " reason: " << grade.reason;
  }
  EXPECT_GT(rows, 4U) << path;
}

TEST(MathCases, UnderflowIsNeverEquality) { CheckPairs("math_underflow_is_equal"); }
TEST(MathCases, NamedCollections) { CheckPairs("math_named_collections"); }
TEST(MathCases, NotationsNotRead) { CheckPairs("math_notations_not_read"); }
TEST(MathCases, NoFalseEquality) { CheckPairs("no_false_equality"); }
TEST(MathCases, Notations) { CheckPairs("notations"); }

}  // namespace
}  // namespace lorikeet
