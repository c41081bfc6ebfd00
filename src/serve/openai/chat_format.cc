#include "serve/openai/chat_format.h"

#include <utility>

#include "serve/openai/logprobs_json.h"

namespace lorikeet {
namespace {

class ChatAnswer {
 public:
  ChatAnswer(ChatStyle style, ServedModelPtr model, SamplingFields sampling)
      : style_(std::move(style)), model_(std::move(model)), sampling_(std::move(sampling)) {}

  OrderedJson Choice(GenerationCall& call, size_t i) const {
    ChoiceState& state = call.choice(i);
    const ParsedAnswer parsed = ParseToolCalls(style_.tools, state.answer.text());
    OrderedJson message = {
        {"role", "assistant"},
        {"content", parsed.content.empty() && !parsed.calls.empty() ? OrderedJson()
                                                                    : OrderedJson(parsed.content)},
        {"refusal", nullptr}};
    if (!parsed.calls.empty()) message["tool_calls"] = Calls(parsed, /*with_index=*/false);
    OrderedJson choice = {{"index", i},
                          {"message", std::move(message)},
                          {"logprobs", nullptr},
                          {"finish_reason", Reason(parsed, state)}};
    if (style_.logprobs) choice["logprobs"] = ChatLogprobs(state.answer.Tokens(), Style());
    if (sampling_.return_token_ids) {
      choice["token_ids"] = state.generation.tokens;
      choice["prompt_token_ids"] = call.request().prompts[0];
    }
    if (sampling_.prompt_logprobs && i == 0) {
      const auto& ids = call.request().prompts[0];
      choice["prompt_logprobs"] =
          PromptLogprobs(PromptTokens(Tokens(), ids, state.generation.prompt_logprobs),
                         {Tokens(), *sampling_.prompt_logprobs, sampling_.tokens_as_ids});
    }
    if (!style_.notes.empty() && i == 0) choice["notes"] = style_.notes;
    return choice;
  }

  static OrderedJson First(size_t i) {
    return Chunk(i, {{"role", "assistant"}, {"content", ""}}, nullptr);
  }

  OrderedJson Piece(GenerationCall& call, size_t i) {
    Sent& sent = SentOf(call, i);
    const std::string& text = call.choice(i).answer.text();
    const size_t until = ContentBytes(style_.tools, text);
    const std::vector<TextToken> tokens = call.choice(i).answer.NewTokens();
    if (until <= sent.bytes && tokens.empty()) return nullptr;
    OrderedJson delta = OrderedJson::object();
    if (until > sent.bytes) delta["content"] = text.substr(sent.bytes, until - sent.bytes);
    sent.bytes = std::max(sent.bytes, until);
    OrderedJson chunk = Chunk(i, std::move(delta), nullptr);
    AddTokens(tokens, &chunk);
    return chunk;
  }

  std::vector<OrderedJson> Last(GenerationCall& call, size_t i) {
    Sent& sent = SentOf(call, i);
    ChoiceState& state = call.choice(i);
    std::vector<OrderedJson> chunks;
    const ParsedAnswer parsed = ParseToolCalls(style_.tools, state.answer.text());
    const std::vector<TextToken> tokens = state.answer.NewTokens();
    OrderedJson delta = OrderedJson::object();
    if (parsed.calls.empty() && state.answer.text().size() > sent.bytes) {
      delta["content"] = state.answer.text().substr(sent.bytes);
    }
    if (!delta.empty() || !tokens.empty()) {
      chunks.push_back(Chunk(i, std::move(delta), nullptr));
      AddTokens(tokens, &chunks.back());
    }
    AddCalls(parsed, i, &chunks);
    chunks.push_back(Chunk(i, OrderedJson::object(), Reason(parsed, state)));
    return chunks;
  }

 private:
  struct Sent {
    size_t bytes = 0;  // content that was sent
  };

  const Tokenizer& Tokens() const { return model_->text->tokenizer(); }
  LogprobsStyle Style() const { return {Tokens(), style_.top_logprobs, sampling_.tokens_as_ids}; }

  Sent& SentOf(const GenerationCall& call, size_t i) {
    sent_.resize(call.num_choices());
    return sent_[i];
  }

  static OrderedJson Chunk(size_t i, OrderedJson delta, OrderedJson reason) {
    return {{"index", i},
            {"delta", std::move(delta)},
            {"logprobs", nullptr},
            {"finish_reason", std::move(reason)}};
  }

  static OrderedJson Reason(const ParsedAnswer& parsed, const ChoiceState& state) {
    return parsed.calls.empty() ? state.finish_reason : "tool_calls";
  }

  static OrderedJson Calls(const ParsedAnswer& parsed, bool with_index) {
    OrderedJson calls = OrderedJson::array();
    for (const ToolCall& call : parsed.calls) {
      OrderedJson json;
      if (with_index) json["index"] = calls.size();
      json["id"] = RandomId("call");
      json["type"] = "function";
      json["function"] = {{"name", call.name}, {"arguments", call.arguments}};
      calls.push_back(std::move(json));
    }
    return calls;
  }

  // A call's first chunk has its id and name, the second its arguments.
  static void AddCalls(const ParsedAnswer& parsed, size_t i, std::vector<OrderedJson>* chunks) {
    for (OrderedJson& call : Calls(parsed, /*with_index=*/true)) {
      const OrderedJson index = call["index"];
      const OrderedJson arguments = std::exchange(call["function"]["arguments"], "");
      chunks->push_back(Chunk(i, {{"tool_calls", OrderedJson::array({std::move(call)})}}, nullptr));
      const OrderedJson rest = {{"index", index}, {"function", {{"arguments", arguments}}}};
      chunks->push_back(Chunk(i, {{"tool_calls", OrderedJson::array({rest})}}, nullptr));
    }
  }

  void AddTokens(const std::vector<TextToken>& tokens, OrderedJson* chunk) const {
    if (tokens.empty()) return;
    if (style_.logprobs) (*chunk)["logprobs"] = ChatLogprobs(tokens, Style());
    if (!sampling_.return_token_ids) return;
    OrderedJson& ids = (*chunk)["token_ids"] = OrderedJson::array();
    for (const TextToken& token : tokens) ids.push_back(token.id);
  }

  ChatStyle style_;
  ServedModelPtr model_;
  SamplingFields sampling_;
  std::vector<Sent> sent_;
};

}  // namespace

CallFormat ChatFormatOf(const ChatStyle& style, ServedModelPtr model,
                        const SamplingFields& sampling) {
  const auto answer = std::make_shared<ChatAnswer>(style, std::move(model), sampling);
  CallFormat format;
  format.id = RandomId("chatcmpl");
  format.object = "chat.completion";
  format.chunk_object = "chat.completion.chunk";
  format.choice = [answer](GenerationCall& call, size_t i) { return answer->Choice(call, i); };
  format.first_chunk = [](size_t i) { return ChatAnswer::First(i); };
  format.piece = [answer](GenerationCall& call, size_t i, const std::string&) {
    return answer->Piece(call, i);
  };
  format.last_chunks = [answer](GenerationCall& call, size_t i) { return answer->Last(call, i); };
  return format;
}

}  // namespace lorikeet
