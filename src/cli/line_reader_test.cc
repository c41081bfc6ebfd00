#include "cli/line_reader.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace lorikeet {
namespace {

std::vector<std::string> LinesOf(const std::string& text) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  EXPECT_EQ(write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  close(ends[1]);
  LineReader reader(ends[0]);
  std::vector<std::string> lines;
  std::string line;
  while (reader.Read(&line) == LineReader::Status::kLine) lines.push_back(line);
  EXPECT_EQ(reader.Read(&line), LineReader::Status::kEnd);
  close(ends[0]);
  return lines;
}

TEST(LineReaderTest, LinesComeWithoutTheirEnds) {
  EXPECT_EQ(LinesOf("one\r\n\ntwo\n"), (std::vector<std::string>{"one", "", "two"}));
}

TEST(LineReaderTest, ALastLineNeedsNoNewline) {
  EXPECT_EQ(LinesOf("one\ntwo"), (std::vector<std::string>{"one", "two"}));
  EXPECT_TRUE(LinesOf("").empty());
}

TEST(LineReaderTest, LinesLongerThanTheBuffer) {
  const std::string longer(10000, 'x');
  EXPECT_EQ(LinesOf(longer + "\ny\n"), (std::vector<std::string>{longer, "y"}));
}

}  // namespace
}  // namespace lorikeet
