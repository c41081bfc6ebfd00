#include "serve/openai/logprobs_json.h"

#include <fmt/format.h>

#include <algorithm>

namespace lorikeet {
namespace {

std::string TokenText(int32_t id, const LogprobsStyle& style) {
  if (style.tokens_as_ids) return fmt::format("token_id:{}", id);
  return style.tokenizer.Decode(std::span(&id, 1));
}

// The likeliest tokens, and the token itself if it is not among them.
std::vector<TokenLogprob> WithItself(const TextToken& token, int64_t top) {
  std::vector<TokenLogprob> all(
      token.top.begin(), token.top.begin() + std::min<std::ptrdiff_t>(top, std::ssize(token.top)));
  const auto same = [&](const TokenLogprob& each) { return each.token == token.id; };
  if (std::none_of(all.begin(), all.end(), same)) all.push_back({token.id, token.logprob});
  return all;
}

// Tokens that print alike share a key: the likelier one has it.
OrderedJson TopObject(const TextToken& token, const LogprobsStyle& style) {
  OrderedJson object = OrderedJson::object();
  for (const TokenLogprob& each : WithItself(token, style.top)) {
    OrderedJson& place = object[TokenText(each.token, style)];
    if (place.is_null() || place.get<float>() < each.logprob) place = each.logprob;
  }
  return object;
}

int64_t Characters(const std::string& text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

OrderedJson Bytes(const std::string& text) {
  OrderedJson bytes = OrderedJson::array();
  for (const char c : text) bytes.push_back(static_cast<unsigned char>(c));
  return bytes;
}

OrderedJson ChatToken(int32_t id, float logprob, const LogprobsStyle& style) {
  const std::string text = style.tokenizer.Decode(std::span(&id, 1));
  return {{"token", style.tokens_as_ids ? TokenText(id, style) : text},
          {"logprob", logprob},
          {"bytes", Bytes(text)}};
}

}  // namespace

OrderedJson CompletionLogprobs(std::span<const TextToken> prompt, std::span<const TextToken> answer,
                               const LogprobsStyle& style, int64_t base) {
  OrderedJson tokens = OrderedJson::array(), logprobs = OrderedJson::array(),
              top = OrderedJson::array(), offsets = OrderedJson::array();
  int64_t offset = base;
  const auto add = [&](const TextToken& token, bool has_logprob) {
    tokens.push_back(style.tokens_as_ids || token.text.empty() ? TokenText(token.id, style)
                                                               : token.text);
    logprobs.push_back(has_logprob ? OrderedJson(token.logprob) : OrderedJson());
    top.push_back(has_logprob ? TopObject(token, style) : OrderedJson());
    offsets.push_back(offset);
    offset += Characters(token.text);
  };
  for (size_t i = 0; i < prompt.size(); ++i) add(prompt[i], i > 0);
  for (const TextToken& token : answer) add(token, true);
  return {{"tokens", std::move(tokens)},
          {"token_logprobs", std::move(logprobs)},
          {"top_logprobs", std::move(top)},
          {"text_offset", std::move(offsets)}};
}

OrderedJson ChatLogprobs(std::span<const TextToken> answer, const LogprobsStyle& style) {
  OrderedJson content = OrderedJson::array();
  for (const TextToken& token : answer) {
    OrderedJson entry = ChatToken(token.id, token.logprob, style);
    OrderedJson& top = entry["top_logprobs"] = OrderedJson::array();
    const auto count = std::min<std::ptrdiff_t>(style.top, std::ssize(token.top));
    for (std::ptrdiff_t i = 0; i < count; ++i) {
      top.push_back(ChatToken(token.top[i].token, token.top[i].logprob, style));
    }
    content.push_back(std::move(entry));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

OrderedJson PromptLogprobs(std::span<const TextToken> prompt, const LogprobsStyle& style) {
  OrderedJson list = OrderedJson::array();
  for (size_t i = 0; i < prompt.size(); ++i) {
    if (i == 0) {
      list.push_back(nullptr);
      continue;
    }
    OrderedJson& entry = list.emplace_back(OrderedJson::object());
    const std::vector<TokenLogprob> all = WithItself(prompt[i], style.top);
    for (size_t k = 0; k < all.size(); ++k) {
      // The rank of a token that is not among the likeliest is not known.
      const bool listed = static_cast<int64_t>(k) < std::ssize(prompt[i].top);
      entry[std::to_string(all[k].token)] = {
          {"logprob", all[k].logprob},
          {"rank", listed ? OrderedJson(k + 1) : OrderedJson()},
          {"decoded_token", style.tokenizer.Decode(std::span(&all[k].token, 1))}};
    }
  }
  return list;
}

std::vector<TextToken> PromptTokens(const Tokenizer& tokenizer, std::span<const int32_t> ids,
                                    std::span<const SampledToken> scores) {
  StreamDecoder decoder(tokenizer, /*skip_special_tokens=*/false);
  std::vector<TextToken> tokens;
  size_t begin = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    TextToken& token = tokens.emplace_back();
    token.id = ids[i];
    token.text = decoder.Push(ids[i]);
    if (i + 1 == ids.size()) token.text += decoder.Finish();
    token.begin = begin;
    begin += token.text.size();
    if (i == 0 || i > scores.size()) continue;
    token.logprob = scores[i - 1].logprob;
    token.top = scores[i - 1].top;
  }
  return tokens;
}

OrderedJson UsageJson(int64_t prompt_tokens, int64_t completion_tokens, int64_t cached_tokens) {
  return {{"prompt_tokens", prompt_tokens},
          {"completion_tokens", completion_tokens},
          {"total_tokens", prompt_tokens + completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", cached_tokens}}}};
}

std::string Dump(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace lorikeet
