#include "serve/sampling_fields.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <random>

#include "serve/api_error.h"

namespace lorikeet {
namespace {

uint64_t RandomSeed() {
  static thread_local std::random_device device;
  return (uint64_t{device()} << 32 | device()) >> 11;  // below 2^53: exact as a JSON number
}

std::map<int32_t, float> ReadLogitBias(RequestFields& fields, int64_t vocab_size) {
  std::map<int32_t, float> biases;
  const OrderedJson& value = fields.Value("logit_bias");
  if (value.is_null()) return biases;
  if (!value.is_object()) {
    Refuse(400, "logit_bias", "logit_bias must be an object of token ids and biases");
  }
  for (const auto& [key, bias] : value.items()) {
    int32_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0 || id >= vocab_size) {
      Refuse(400, "logit_bias", "logit_bias: '{}' is not a token id below {}", key, vocab_size);
    }
    if (!bias.is_number() || !(bias >= -100 && bias <= 100)) {
      Refuse(400, "logit_bias", "logit_bias: the bias of token {} must be from -100 to 100", key);
    }
    biases[id] = bias.get<float>();
  }
  return biases;
}

void ReadStream(RequestFields& fields, SamplingFields* out) {
  out->stream = fields.Bool("stream").value_or(false);
  const OrderedJson& options = fields.Value("stream_options");
  if (options.is_null()) return;
  if (!out->stream) Refuse(400, "stream_options", "stream_options is for stream: true only");
  RequestFields nested(options, "stream_options");
  out->include_usage = nested.Bool("include_usage").value_or(false);
  nested.Ignore({"include_obfuscation", "continuous_usage_stats"});
  nested.RefuseOthers();
}

void ReadDistribution(RequestFields& fields, SamplingParams* params) {
  constexpr int64_t kMaxSeed = std::numeric_limits<int64_t>::max();
  params->temperature = fields.Number("temperature", 0, 1000).value_or(params->temperature);
  params->top_p = fields.Number("top_p", 0, 1).value_or(params->top_p);
  if (params->top_p == 0) params->top_p = 1e-9;  // the likeliest token alone
  const int64_t top_k = fields.Int("top_k", -1, 1 << 30).value_or(params->top_k);
  params->top_k = std::max<int64_t>(top_k, 0);
  params->min_p = fields.Number("min_p", 0, 1).value_or(params->min_p);
  const auto seed = fields.Int("seed", -kMaxSeed, kMaxSeed);
  params->seed = seed ? static_cast<uint64_t>(*seed) : RandomSeed();
}

void ReadExtensions(RequestFields& fields, int64_t vocab_size, SamplingFields* out) {
  const OrderedJson& ids = fields.Value("stop_token_ids");
  if (!ids.is_null() && !ids.is_array()) {
    Refuse(400, "stop_token_ids", "stop_token_ids must be a list of token ids");
  }
  for (const OrderedJson& id : ids) {
    if (!id.is_number_integer() || id < 0 || id >= vocab_size) {
      Refuse(400, "stop_token_ids", "stop_token_ids: {} is not a token id below {}", id.dump(),
             vocab_size);
    }
    out->params.stop_tokens.push_back(id.get<int32_t>());
  }
  out->min_tokens = fields.Int("min_tokens", 0, 1 << 30).value_or(0);
  out->include_stop = fields.Bool("include_stop_str_in_output").value_or(false);
  out->skip_special_tokens = fields.Bool("skip_special_tokens").value_or(true);
  out->return_token_ids = fields.Bool("return_token_ids").value_or(false);
  out->tokens_as_ids = fields.Bool("return_tokens_as_token_ids").value_or(false);
  out->prompt_logprobs = fields.Int("prompt_logprobs", 0, 100);
}

}  // namespace

void SamplingFields::Edit(std::span<float> logits, int64_t generated) const {
  for (const auto& [token, bias] : logit_bias) logits[static_cast<size_t>(token)] += bias;
  if (generated >= min_tokens) return;
  for (const int32_t token : params.stop_tokens) {
    logits[static_cast<size_t>(token)] = -std::numeric_limits<float>::infinity();
  }
}

SamplingFields ReadSamplingFields(RequestFields& fields, const ServedModel& model,
                                  int64_t vocab_size) {
  SamplingFields out;
  if (model.text != nullptr) {
    out.params = model.text->configured_sampling().value_or(SamplingParams{});
  }
  ReadDistribution(fields, &out.params);
  out.n = fields.Int("n", 1, 128).value_or(1);
  ReadStream(fields, &out);
  out.stop = fields.Strings("stop");
  out.logit_bias = ReadLogitBias(fields, vocab_size);
  out.ignore_eos = fields.Bool("ignore_eos").value_or(false);
  if (model.text != nullptr && !out.ignore_eos) {
    out.params.stop_tokens = model.text->StopTokens(vocab_size);
  }
  ReadExtensions(fields, vocab_size, &out);
  out.user = fields.String("user").value_or("");
  fields.Ignore({"metadata", "store", "service_tier", "prompt_cache_key", "prompt_cache_retention",
                 "safety_identifier"});
  for (const char* key : {"presence_penalty", "frequency_penalty"}) {
    if (fields.Number(key, -2, 2).value_or(0) != 0) Refuse(400, key, "{} is not supported", key);
  }
  if (fields.Number("repetition_penalty", 0, 100).value_or(1) != 1) {
    Refuse(400, "repetition_penalty", "repetition_penalty is not supported");
  }
  CheckSamplingParams(out.params, vocab_size);
  return out;
}

}  // namespace lorikeet
