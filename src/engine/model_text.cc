#include "engine/model_text.h"

#include <algorithm>
#include <utility>

#include "chat/chat_format.h"
#include "core/error.h"
#include "core/json_fields.h"
#include "data/written_check.h"

namespace lorikeet {
namespace {

std::optional<SamplingParams> ReadSampling(const std::string& content, const std::string& where) {
  if (content.empty()) return std::nullopt;
  const Json config = ParseJson(content, where);
  const JsonFields fields(config, where);
  if (!fields.Bool("do_sample", false)) return std::nullopt;
  SamplingParams params;
  params.temperature = fields.Number("temperature", 0, 1000, 1);
  params.top_p = fields.Number("top_p", 1e-6, 1, 1);
  params.top_k = std::max<int64_t>(fields.Int("top_k", -1, 1'000'000'000, 0), 0);
  params.min_p = fields.Number("min_p", 0, 1, 0);
  return params;
}

}  // namespace

ModelText::ModelText(std::shared_ptr<const TokenizerBundle> bundle,
                     const std::string& generation_config, std::string name,
                     const TextOptions& options)
    : bundle_(std::move(bundle)),
      name_(std::move(name)),
      template_(ChooseChatTemplate(*bundle_, options.chat_template)),
      variables_(options.variables),
      date_(options.date),
      sampling_(ReadSampling(generation_config, name_ + ": generation_config.json")) {
  if (template_) AddStopStrings(*template_, &stop_strings_);
}

const ChatTemplate& ModelText::Template() const {
  if (!template_) {
    Fail(ErrorCode::kInvalidArgument,
         "{}: has no chat template, so messages cannot be rendered; give --chat-template (a Jinja "
         "file, chatml, or plain for base models)",
         name_);
  }
  return *template_;
}

RenderOptions ModelText::OptionsFor(const OrderedJson& tools, const OrderedJson& variables) const {
  return {.add_generation_prompt = true,
          .tools = tools,
          .variables = MergedVariables(variables_, variables),
          .date = date_};
}

std::string ModelText::Render(std::span<const Message> messages, const OrderedJson& tools,
                              const OrderedJson& variables) const {
  return Template().Render(messages, OptionsFor(tools, variables));
}

std::vector<Remark> ModelText::Check(std::span<const Message> messages, const OrderedJson& tools,
                                     const OrderedJson& variables, std::string_view text) const {
  return CheckPrompt(Template(), messages, OptionsFor(tools, variables), text);
}

std::vector<int32_t> ModelText::Encode(const std::string& prompt) const {
  std::vector<int32_t> ids = bundle_->tokenizer.Encode(prompt);
  PutBos(*bundle_, prompt, &ids);
  return ids;
}

std::vector<int32_t> ModelText::StopTokens(int64_t vocab_size) const {
  std::vector<int32_t> tokens;
  for (const int32_t id : bundle_->eos_ids) {
    if (id < vocab_size) tokens.push_back(id);
  }
  return tokens;
}

}  // namespace lorikeet
