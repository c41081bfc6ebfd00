#include "verify/answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.h"

namespace lorikeet {
namespace {

using testing::ElementsAre;

std::vector<std::string> Regions(std::string_view text, Extent extent = Extent::kLine) {
  std::vector<std::string> shown;
  for (const Region& region : AnswerRegions(text, extent)) {
    shown.push_back((region.marked ? "!" : "?") + std::string(region.text));
  }
  return shown;
}

TEST(AnswerRegions, TextUnderAHeading) {
  EXPECT_EQ(Regions("so\n**Final Answer**\n\n73\n\nchecked in 2 ways")[0], "!73");
  EXPECT_EQ(Regions("## Answer:\n73")[0], "!73");
  EXPECT_EQ(Regions("Final answer\n  \n 73 eggs\n")[0], "!73 eggs");
  EXPECT_EQ(Regions("the Answer key\n73").size(), 1U);
  EXPECT_EQ(Regions("Answer\n").size(), 1U);
}

TEST(FinalText, IsBehindThinkingAndBeforeTheEndOfTurn) {
  EXPECT_EQ(FinalText("  7 \n"), "7");
  EXPECT_EQ(FinalText("<think>is it 3?</think>\n\n7"), "7");
  EXPECT_EQ(FinalText("no, 3</think> 7"), "7");  // the prompt opened the thinking
  EXPECT_EQ(FinalText("<think>1</think>5<think>2</think>7"), "7");
  EXPECT_EQ(FinalText("<thinking>1</thinking> 7"), "7");
  EXPECT_EQ(FinalText("<think>it is 7"), "");
  EXPECT_EQ(FinalText("<think>1</think> 7 <think>or 8"), "");
  EXPECT_EQ(FinalText("7<|im_end|>"), "7");
  EXPECT_EQ(FinalText("7 </s>\n<|endoftext|> <|endoftext|>"), "7");
  EXPECT_EQ(FinalText("a |> b|>"), "a |> b|>");
  EXPECT_EQ(FinalText(""), "");
  EXPECT_EQ(FinalText("<think>1</think>\n 7 <|im_end|>", Spaces::kKeep), "\n 7 ");
}

TEST(AnswerRegions, BoxBeforeTheWordAnswerBeforeTheText) {
  EXPECT_THAT(Regions("7"), ElementsAre("?7"));
  EXPECT_THAT(Regions("Answer: 7"), ElementsAre("!7", "?Answer: 7"));
  EXPECT_THAT(Regions("**Answer:** 7\nok"), ElementsAre("!7", "?**Answer:** 7\nok"));
  EXPECT_THAT(Regions("The final answer is\n\n 7\nok"),
              ElementsAre("!7", "?The final answer is\n\n 7\nok"));
  EXPECT_THAT(Regions("answer = 5, the ANSWER is: 7"),
              ElementsAre("!7", "!5, the ANSWER is: 7", "?answer = 5, the ANSWER is: 7"));
  EXPECT_THAT(Regions("my answer isn't 7, no answer"),
              ElementsAre("?my answer isn't 7, no answer"));
  EXPECT_THAT(Regions("\\boxed{7} and \\fbox{\\frac{1}{2}}."),
              ElementsAre("!\\frac{1}{2}", "?\\boxed{7} and \\fbox{\\frac{1}{2}}."));
  EXPECT_THAT(Regions("\\boxed{7\nopen"), ElementsAre("!7", "?\\boxed{7\nopen"));
  EXPECT_THAT(Regions("Answer: 3\n5\n9", Extent::kRest),
              ElementsAre("!3\n5\n9", "?Answer: 3\n5\n9"));
}

TEST(AnswerRegions, TheTagTakesThePlaceOfTheText) {
  EXPECT_THAT(Regions("<answer>1</answer> Answer: 2 <answer> 7 </answer> 3"), ElementsAre("!7"));
  EXPECT_THAT(Regions("7</answer>"), ElementsAre("?7</answer>"));
}

TEST(AnswerRegions, AreFewAndReadOnlyTheEnd) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "the answer is ";
  const std::vector<Region> regions = AnswerRegions(text, Extent::kLine);
  EXPECT_EQ(regions.size(), 17u);
  EXPECT_EQ(regions.back().text.size(), size_t{16} << 10);
}

TEST(Joined, TellsAChoiceFromAResult) {
  for (const char* gap : {" or ", ", ", " and ", "/", ":", " ", " + ", "-", " × ", " \\times ",
                          ") ", " divided by ", "; ", "** **", "."}) {
    EXPECT_TRUE(Joined(gap)) << gap;
  }
  for (const char* gap : {"\n", " = ", " is ", ". ", " (", ": ", " -> ", " → ", " apples and ",
                          "! Now ", " からの "}) {
    EXPECT_FALSE(Joined(gap)) << gap;
  }
}

TEST(Quoted, IsOneShortLineOfValidText) {
  EXPECT_EQ(Quoted("a\nb"), "'a b'");
  EXPECT_EQ(Quoted("\xFF"), "'\uFFFD'");
  EXPECT_EQ(Quoted(std::string(100, 'a')), "'" + std::string(60, 'a') + "...'");
}

}  // namespace
}  // namespace lorikeet
