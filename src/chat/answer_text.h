// From sampled tokens to the text of an answer, piece by piece: never a broken character, never a
// part of a stop string.
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

  // The text that is certain now. What may yet become a stop string is held back.
  std::string Push(int32_t token);
  // The rest, at the end of the answer. Nothing after a stop string.
  std::string Finish();
  // A stop string was met: the answer ends before it.
  bool stopped() const { return stopped_; }

 private:
  std::string Release(bool all);

  StreamDecoder decoder_;
  std::vector<std::string> stop_strings_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace lorikeet
