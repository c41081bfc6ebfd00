#include "serve/openai/completions.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "serve/api_error.h"
#include "serve/openai/call_reply.h"
#include "serve/openai/logprobs_json.h"
#include "serve/request_fields.h"
#include "serve/sampling_fields.h"

namespace lorikeet {
namespace {

std::vector<int32_t> ReadIds(const OrderedJson& list, int64_t vocab_size) {
  std::vector<int32_t> ids;
  for (const OrderedJson& id : list) {
    if (!id.is_number_integer() || id < 0 || id >= vocab_size) {
      Refuse(400, "prompt", "prompt: {} is not a token id below {}", Dump(id), vocab_size);
    }
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

std::vector<int32_t> ReadPrompt(const OrderedJson& prompt, const ServedModel& model,
                                int64_t vocab_size) {
  if (prompt.is_string()) return model.text->Encode(prompt.get<std::string>());
  if (prompt.is_array()) return ReadIds(prompt, vocab_size);
  Refuse(400, "prompt", "prompt must be a string, token ids, or a list of either");
}

// A string, strings, token ids, or lists of token ids.
std::vector<std::vector<int32_t>> ReadPrompts(const OrderedJson& value, const ServedModel& model,
                                              int64_t vocab_size) {
  constexpr size_t kMaxPrompts = 4096;
  if (value.is_null()) Refuse(400, "prompt", "prompt is missing");
  std::vector<std::vector<int32_t>> prompts;
  const bool several = value.is_array() && !value.empty() && !value[0].is_number();
  if (several) {
    if (value.size() > kMaxPrompts)
      Refuse(400, "prompt", "more than {} prompts in a request", kMaxPrompts);
    for (const OrderedJson& each : value) prompts.push_back(ReadPrompt(each, model, vocab_size));
  } else {
    prompts.push_back(ReadPrompt(value, model, vocab_size));
  }
  for (std::vector<int32_t>& prompt : prompts) {
    // An empty text begins with the tokenizer's BOS or, without one, with the end token.
    if (prompt.empty()) Refuse(400, "prompt", "prompt is empty: it has no tokens");
  }
  return prompts;
}

struct CompletionStyle {
  bool echo = false;
  std::optional<int64_t> logprobs;
};

class Formatter {
 public:
  Formatter(const CompletionStyle& style, ServedModelPtr model, const SamplingFields& sampling)
      : style_(style), model_(std::move(model)), sampling_(sampling) {}

  OrderedJson Choice(GenerationCall& call, size_t i) const {
    ChoiceState& state = call.choice(i);
    const auto n = static_cast<size_t>(sampling_.n);
    const std::vector<int32_t>& ids = call.request().prompts[i / n];
    const std::vector<SampledToken>& scores = call.choice(i / n * n).generation.prompt_logprobs;
    const std::vector<TextToken> prompt = PromptTokens(Tokens(), ids, scores);
    std::string text;
    if (style_.echo) {
      for (const TextToken& token : prompt) text += token.text;
    }
    OrderedJson choice = {{"index", i},
                          {"text", text + state.answer.text()},
                          {"logprobs", nullptr},
                          {"finish_reason", state.finish_reason}};
    if (style_.logprobs) {
      const std::span<const TextToken> echoed =
          style_.echo ? std::span(prompt) : std::span<const TextToken>();
      choice["logprobs"] = CompletionLogprobs(echoed, state.answer.Tokens(), Style());
    }
    if (sampling_.prompt_logprobs) {
      choice["prompt_logprobs"] = PromptLogprobs(prompt, Style(*sampling_.prompt_logprobs));
    }
    if (sampling_.return_token_ids) {
      choice["token_ids"] = state.generation.tokens;
      choice["prompt_token_ids"] = ids;
    }
    return choice;
  }

  OrderedJson Piece(GenerationCall& call, size_t i, const std::string& piece) {
    std::string text = piece;
    if (style_.echo && !Begun(call, i)) {
      const auto n = static_cast<size_t>(sampling_.n);
      text = Tokens().Decode(call.request().prompts[i / n]) + text;
    }
    const std::vector<TextToken> tokens = call.choice(i).answer.NewTokens();
    if (text.empty() && tokens.empty()) return nullptr;
    OrderedJson choice = {
        {"index", i}, {"text", text}, {"logprobs", nullptr}, {"finish_reason", nullptr}};
    AddTokens(tokens, &choice);
    return choice;
  }

  std::vector<OrderedJson> Last(GenerationCall& call, size_t i) {
    std::vector<OrderedJson> chunks;
    if (OrderedJson piece = Piece(call, i, ""); !piece.is_null()) chunks.push_back(piece);
    chunks.push_back({{"index", i},
                      {"text", ""},
                      {"logprobs", nullptr},
                      {"finish_reason", call.choice(i).finish_reason}});
    return chunks;
  }

 private:
  const Tokenizer& Tokens() const { return model_->text->tokenizer(); }
  LogprobsStyle Style() const { return Style(style_.logprobs.value_or(0)); }
  LogprobsStyle Style(int64_t top) const { return {Tokens(), top, sampling_.tokens_as_ids}; }

  bool Begun(const GenerationCall& call, size_t i) {
    begun_.resize(call.num_choices());
    return std::exchange(begun_[i], 1) != 0;
  }

  void AddTokens(const std::vector<TextToken>& tokens, OrderedJson* choice) const {
    if (style_.logprobs && !tokens.empty()) {
      (*choice)["logprobs"] =
          CompletionLogprobs({}, tokens, Style(), static_cast<int64_t>(tokens[0].begin));
    }
    if (!sampling_.return_token_ids) return;
    OrderedJson& ids = (*choice)["token_ids"] = OrderedJson::array();
    for (const TextToken& token : tokens) ids.push_back(token.id);
  }

  CompletionStyle style_;
  ServedModelPtr model_;
  SamplingFields sampling_;
  std::vector<char> begun_;  // by choice: its first piece was sent
};

CallFormat FormatOf(const std::shared_ptr<Formatter>& formatter) {
  CallFormat format;
  format.id = RandomId("cmpl");
  format.object = format.chunk_object = "text_completion";
  format.choice = [formatter](GenerationCall& call, size_t i) {
    return formatter->Choice(call, i);
  };
  format.piece = [formatter](GenerationCall& call, size_t i, const std::string& piece) {
    return formatter->Piece(call, i, piece);
  };
  format.last_chunks = [formatter](GenerationCall& call, size_t i) {
    return formatter->Last(call, i);
  };
  return format;
}

}  // namespace

ServedModelPtr ModelOf(const ServeContext& context, RequestFields& fields) {
  const std::string name = fields.String("model").value_or("");
  ServedModelPtr model = context.models.Find(name);
  if (model == nullptr) {
    throw ApiError(404,
                   fmt::format("the model '{}' is not served here; GET /v1/models lists those "
                               "that are",
                               name),
                   "model", "model_not_found");
  }
  if (model->text == nullptr) {
    Refuse(400, "model", "{}: has no tokenizer, so it cannot answer", model->name);
  }
  return model;
}

void CheckContext(const ServeContext& context, int64_t prompt_tokens, int64_t max_tokens) {
  const int64_t most = context.sampling.limits().capacity;
  if (prompt_tokens + max_tokens <= most) return;
  throw ApiError(400,
                 fmt::format("the context holds {} tokens, but the prompt has {} and max_tokens is "
                             "{}; shorten the prompt or lower max_tokens",
                             most, prompt_tokens, max_tokens),
                 prompt_tokens >= most ? "messages" : "max_tokens", "context_length_exceeded");
}

void HandleCompletion(ServeContext& context, const ServeRequest& request) {
  const OrderedJson json = ParseRequest(request.http.body);
  RequestFields fields(json);
  CallRequest call;
  call.client = request.client;
  call.model = ModelOf(context, fields);
  const int64_t vocab_size = context.models.model().config().vocab_size;
  call.prompts = ReadPrompts(fields.Value("prompt"), *call.model, vocab_size);
  call.sampling = ReadSamplingFields(fields, *call.model, vocab_size);
  CompletionStyle style;
  style.echo = fields.Bool("echo").value_or(false);
  style.logprobs = fields.Int("logprobs", 0, 100);
  call.max_tokens = fields.Int("max_tokens", 0, 1 << 30).value_or(16);
  fields.OnlyNeutral({"suffix", "response_format"});
  if (fields.Int("best_of", 1, 128).value_or(1) != 1) {
    Refuse(400, "best_of", "best_of is not supported; n gives several choices");
  }
  fields.RefuseOthers();
  for (const auto& prompt : call.prompts) {
    CheckContext(context, std::ssize(prompt), call.max_tokens);
  }
  const bool scores = (style.echo && style.logprobs) || call.sampling.prompt_logprobs;
  if (scores && call.sampling.stream) {
    Refuse(400, "stream", "log-probabilities of the prompt cannot be streamed");
  }
  call.top_logprobs =
      std::max(style.logprobs.value_or(0), call.sampling.prompt_logprobs.value_or(0));
  call.details = style.logprobs.has_value() || call.sampling.return_token_ids;
  call.prompt_logprobs = scores || call.max_tokens == 0;
  const auto formatter = std::make_shared<Formatter>(style, call.model, call.sampling);
  AnswerCall(context, std::move(call), FormatOf(formatter), request.reply);
}

}  // namespace lorikeet
