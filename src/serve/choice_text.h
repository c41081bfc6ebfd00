// A `ChoiceText` is the growing text of one choice, with what is known about each of its tokens.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "chat/answer_text.h"
#include "sample/generator.h"
#include "tokenizer/tokenizer.h"

namespace lorikeet {

// A token of a text, with its place in it.
struct TextToken {
  int32_t id = 0;
  std::string text;   // its part of the text; whole characters only, so it may be empty
  size_t begin = 0;   // bytes of the text before it
  float logprob = 0;  // log softmax(logits)
  std::vector<TokenLogprob> top{};
};

struct ChoiceTextOptions {
  std::vector<std::string> stop;
  bool skip_special_tokens = true;
  bool hide_stop_token = true;  // the token that ends the answer has no text
  bool include_stop = false;    // a stop string that ends the answer belongs to it
  bool details = false;         // keep `tokens`
};

class ChoiceText {
 public:
  // `tokenizer` must outlive this.
  ChoiceText(const Tokenizer& tokenizer, const ChoiceTextOptions& options);

  // Adds a token. Returns the text that is final now.
  std::string Push(const SampledToken& token, bool is_stop_token);
  // Ends the answer. Returns the rest of its text.
  std::string Finish();

  bool stopped() const { return text_.stopped(); }  // by a stop string
  const std::string& text() const { return all_; }
  // Those whose text begins before the end of the answer's. With `details` only.
  std::vector<TextToken> Tokens() const;
  // The same for those that end within the final text, from the first that was not returned yet.
  std::vector<TextToken> NewTokens();

 private:
  size_t CountWithin(bool at_end) const;

  ChoiceTextOptions options_;
  AnswerText text_;
  StreamDecoder decoder_;
  std::string all_;       // final text
  size_t raw_bytes_ = 0;  // decoded so far, before stop strings
  bool finished_ = false;
  std::vector<TextToken> tokens_;
  size_t returned_ = 0;
};

}  // namespace lorikeet
