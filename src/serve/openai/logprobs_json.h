// JSON of tokens and their log-probabilities, in the two forms of OpenAI's API, and of usage.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/json.h"
#include "sample/generator.h"
#include "serve/choice_text.h"
#include "tokenizer/tokenizer.h"

namespace lorikeet {

struct LogprobsStyle {
  const Tokenizer& tokenizer;
  int64_t top = 0;             // number of likeliest tokens beside each
  bool tokens_as_ids = false;  // "token_id:123" in place of a token's text
};

// {"tokens", "token_logprobs", "top_logprobs", "text_offset"} of completions. The logprob of the
// first of `prompt`, which may be empty, is null. base: text_offset of the first token, in
// characters.
OrderedJson CompletionLogprobs(std::span<const TextToken> prompt, std::span<const TextToken> answer,
                               const LogprobsStyle& style, int64_t base = 0);
// {"content": [{"token", "logprob", "bytes", "top_logprobs"}], "refusal": null} of chats.
OrderedJson ChatLogprobs(std::span<const TextToken> answer, const LogprobsStyle& style);
// vLLM's prompt_logprobs: [null, {"ID": {"logprob", "rank", "decoded_token"}}, ...].
OrderedJson PromptLogprobs(std::span<const TextToken> prompt, const LogprobsStyle& style);

// The tokens of a prompt with the parts of its text; scores: of all but the first, or empty.
std::vector<TextToken> PromptTokens(const Tokenizer& tokenizer, std::span<const int32_t> ids,
                                    std::span<const SampledToken> scores);

OrderedJson UsageJson(int64_t prompt_tokens, int64_t completion_tokens, int64_t cached_tokens);

// Text of a JSON answer; invalid UTF-8, which no tokenizer should give, becomes U+FFFD.
std::string Dump(const OrderedJson& json);

}  // namespace lorikeet
