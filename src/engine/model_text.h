// A `ModelText` is the text side of a model or adapter, ready for prompts: it renders messages,
// encodes text, and has the stop strings and the default sampling parameters that belong to it.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/bundle.h"
#include "chat/chat_template.h"
#include "data/turns.h"
#include "sample/sampler.h"

namespace lorikeet {

struct TextOptions {
  std::string chat_template;        // as for ChooseChatTemplate; "": the tokenizer's own
  OrderedJson variables = nullptr;  // for the template
  std::string date;                 // for templates that print it; "": today
};

class ModelText {
 public:
  // generation_config: content of generation_config.json, may be empty. name: the model, for
  // errors. Throws Error.
  ModelText(std::shared_ptr<const TokenizerBundle> bundle, const std::string& generation_config,
            std::string name, const TextOptions& options);

  const TokenizerBundle& bundle() const { return *bundle_; }
  const Tokenizer& tokenizer() const { return bundle_->tokenizer; }
  const std::shared_ptr<const TokenizerBundle>& shared_bundle() const { return bundle_; }
  bool HasTemplate() const { return template_.has_value(); }
  // Throws Error(kInvalidArgument) if there is none.
  const ChatTemplate& Template() const;

  // With the variables of the options, over which `variables` take precedence, and the generation
  // prompt. tools and variables may be null.
  RenderOptions OptionsFor(const OrderedJson& tools, const OrderedJson& variables) const;
  // The prompt's text. Throws Error without a chat template, and for messages that the template
  // rejects.
  std::string Render(std::span<const Message> messages, const OrderedJson& tools = nullptr,
                     const OrderedJson& variables = nullptr) const;
  // Remarks on the messages of a prompt whose text is `text` (data/written_check.h).
  std::vector<Remark> Check(std::span<const Message> messages, const OrderedJson& tools,
                            const OrderedJson& variables, std::string_view text) const;
  // Token ids of a prompt, with BOS in front if the tokenizer adds it and the text does not begin
  // with it.
  std::vector<int32_t> Encode(const std::string& prompt) const;

  // Temperature, top_p, top_k and min_p of generation_config.json if it samples; nothing if it does
  // not, or if there is no such file.
  const std::optional<SamplingParams>& configured_sampling() const { return sampling_; }
  // End-of-turn tokens, of a vocabulary of this size.
  std::vector<int32_t> StopTokens(int64_t vocab_size) const;
  // Texts that end an answer of this template.
  const std::vector<std::string>& stop_strings() const { return stop_strings_; }

 private:
  std::shared_ptr<const TokenizerBundle> bundle_;
  std::string name_;
  std::optional<ChatTemplate> template_;
  OrderedJson variables_;
  std::string date_;
  std::optional<SamplingParams> sampling_;
  std::vector<std::string> stop_strings_;
};

}  // namespace lorikeet
