#include "chat/answer_text.h"

#include <gtest/gtest.h>

#include "tokenizer/tokenizer.h"

namespace lorikeet {
namespace {

class AnswerTextTest : public ::testing::Test {
 protected:
  // Byte by byte, so that stop strings and characters stretch over many tokens.
  std::string Stream(const std::string& text, std::vector<std::string> stops) {
    AnswerText answer(tokenizer_, std::move(stops));
    std::string all;
    pieces_.clear();
    for (const char c : text) {
      for (const int32_t id : tokenizer_.Encode(std::string(1, c))) {
        pieces_.push_back(answer.Push(id));
        all += pieces_.back();
      }
    }
    stopped_ = answer.stopped();
    stopped_by_ = answer.stopped_by();
    return all + answer.Finish();
  }
  Tokenizer tokenizer_ =
      Tokenizer::FromFile(std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/tokenizer/gpt2.json");
  std::vector<std::string> pieces_;
  bool stopped_ = false;
  std::string stopped_by_;
};

TEST_F(AnswerTextTest, WithoutStopsEverythingComesAtOnce) {
  EXPECT_EQ(Stream("plain words", {}), "plain words");
  EXPECT_EQ(pieces_[0], "p");
  EXPECT_FALSE(stopped_);
  EXPECT_EQ(stopped_by_, "");
}

TEST_F(AnswerTextTest, AStopStringOverManyTokensNeverShows) {
  EXPECT_EQ(Stream("yes.\nUser: and", {"\nUser:"}), "yes.");
  EXPECT_TRUE(stopped_);
}

TEST_F(AnswerTextTest, WhatOnlyBeginsLikeAStopStringIsGivenOutLater) {
  EXPECT_EQ(Stream("aab aac aa", {"aaab", "aad"}), "aab aac aa");
  EXPECT_EQ(pieces_[0], "");
  EXPECT_EQ(pieces_[2], "aab");
  EXPECT_FALSE(stopped_);
}

TEST_F(AnswerTextTest, OverlappingBeginningsAreNotMissed) {
  EXPECT_EQ(Stream("xaaab", {"aab"}), "xa");
  EXPECT_EQ(Stream("xababac", {"abac", "zz"}), "xab");
}

TEST_F(AnswerTextTest, TheFirstOfSeveralStopsCounts) {
  EXPECT_EQ(Stream("one two three", {"three", "two"}), "one ");
  EXPECT_EQ(stopped_by_, "two");
}

TEST_F(AnswerTextTest, NoPieceBreaksACharacter) {
  const std::string text = "h\xC3\xA9 \xF0\x9F\xA6\x9C!";  // e acute, parrot
  AnswerText answer(tokenizer_, {"stop"});
  std::string all;
  for (const int32_t id : tokenizer_.Encode(text)) {
    const std::string piece = answer.Push(id);
    EXPECT_TRUE(piece.empty() || (static_cast<uint8_t>(piece[0]) & 0xC0) != 0x80) << piece;
    all += piece;
  }
  EXPECT_EQ(all + answer.Finish(), text);
}

TEST_F(AnswerTextTest, EmptyStopStringsAreIgnored) { EXPECT_EQ(Stream("abc", {""}), "abc"); }

}  // namespace
}  // namespace lorikeet
