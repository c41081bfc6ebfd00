#include "verify/item_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.h"

namespace lorikeet {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Single capital letters.
std::vector<Item> FindCapitals(std::string_view text) {
  std::vector<Item> items;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] < 'A' || text[i] > 'Z') continue;
    if (i + 1 < text.size() && IsAsciiLetter(text[i + 1])) continue;
    items.push_back({i, i + 1, std::string(1, text[i])});
  }
  return items;
}

std::string Item1(std::string_view text) { return ReadItem(text, FindCapitals).value; }
std::vector<std::string> List3(std::string_view text) {
  return ReadItemList(text, FindCapitals, 3);
}

TEST(ReadItem, FirstOfAMarkedRegionLastOfTheText) {
  EXPECT_EQ(Item1("B"), "B");
  EXPECT_EQ(Item1("from A comes B"), "B");
  EXPECT_EQ(Item1("Answer: B, not as C"), "B");
  EXPECT_EQ(Item1("Answer: A + 1 = B"), "B");
  EXPECT_EQ(Item1("A. B"), "B");
  EXPECT_EQ(Item1("A or B"), "");
  EXPECT_EQ(Item1("Answer: A, B"), "");
  EXPECT_EQ(Item1("Answer: see below\nB"), "B");
  EXPECT_EQ(Item1("nothing"), "");
}

TEST(ReadItemList, TakesAWholeList) {
  EXPECT_THAT(List3("A, B, C"), ElementsAre("A", "B", "C"));
  EXPECT_THAT(List3("A B C."), ElementsAre("A", "B", "C"));
  EXPECT_THAT(List3("[A, B, and C]"), ElementsAre("A", "B", "C"));
  EXPECT_THAT(List3("C, B, A\nA, B, C"), ElementsAre("A", "B", "C"));
  EXPECT_THAT(List3("sorted from C, B, A it is A, B, C"), ElementsAre("A", "B", "C"));
  EXPECT_THAT(List3("here:\n1. A\n2. B\n3. C"), ElementsAre("A", "B", "C"));
  EXPECT_THAT(List3("- A\n- B\n- C\n"), ElementsAre("A", "B", "C"));
  EXPECT_THAT(List3("Answer: A, B, C\nbecause C comes last"), ElementsAre("A", "B", "C"));
  EXPECT_THAT(List3("Answer:\nA\nB\nC"), ElementsAre("A", "B", "C"));
}

TEST(ReadItemList, RefusesLongerShorterAndBrokenLists) {
  EXPECT_THAT(List3("A, B"), IsEmpty());
  EXPECT_THAT(List3("A, B, C, D"), ElementsAre());
  EXPECT_THAT(List3("A\nB\nC\nD"), IsEmpty());
  EXPECT_THAT(List3("Answer: A, B, C, D"), IsEmpty());
  EXPECT_THAT(List3("Answer:\nA\nB\nC\nD"), IsEmpty());
  EXPECT_THAT(List3("Answer: A, B"), IsEmpty());
  EXPECT_THAT(List3("A, something, B, C"), IsEmpty());
  EXPECT_THAT(List3(""), IsEmpty());
}

}  // namespace
}  // namespace lorikeet
