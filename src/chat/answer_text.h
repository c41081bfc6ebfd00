// `AnswerText` converts the sampled tokens of a completion to text, piece by piece: no piece ends
// within a character or contains a part of a stop string.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace lorikeet {

class AnswerText {
 public:
  // `tokenizer` must outlive this. Empty stop strings never match.
  AnswerText(const Tokenizer& tokenizer, std::vector<std::string> stop_strings,
             bool skip_special_tokens = true);

  // The text that is final now. Text that may become a stop string is held back.
  std::string Push(int32_t token);
  // The remaining text, at the end of the completion. "" after a stop string.
  std::string Finish();
  // Whether a stop string has appeared: the completion ends before it.
  bool stopped() const { return stopped_; }
  const std::string& stopped_by() const { return stopped_by_; }  // that stop string; "" before

 private:
  std::string Release(bool all);

  StreamDecoder decoder_;
  std::vector<std::string> stop_strings_;
  std::string held_, stopped_by_;
  bool stopped_ = false;
};

}  // namespace lorikeet
