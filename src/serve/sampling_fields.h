// The fields of a request that decide how its answers are sampled, for both kinds of completions.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sample/sampler.h"
#include "serve/request_fields.h"
#include "serve/served_models.h"

namespace lorikeet {

struct SamplingFields {
  SamplingParams params;  // without max_tokens; seed drawn at random if none is given
  int64_t n = 1;          // choices for each prompt
  bool stream = false, include_usage = false;
  std::vector<std::string> stop;  // with those of the chat template, for chats
  std::map<int32_t, float> logit_bias;
  int64_t min_tokens = 0;   // before them no stop token is sampled
  bool ignore_eos = false;  // no end-of-turn token ends an answer
  bool include_stop = false, skip_special_tokens = true;
  bool return_token_ids = false, tokens_as_ids = false;
  std::optional<int64_t> prompt_logprobs;  // vLLM's: number of likeliest tokens
  std::string user;

  // What logit_bias and min_tokens do to logits; empty if nothing. generated: tokens so far.
  void Edit(std::span<float> logits, int64_t generated) const;
  bool edits() const { return !logit_bias.empty() || min_tokens > 0; }
};

// Defaults are those of generation_config.json if it samples, else temperature 1. Throws
// ApiError(400) naming the field.
SamplingFields ReadSamplingFields(RequestFields& fields, const ServedModel& model,
                                  int64_t vocab_size);

}  // namespace lorikeet
