#include "cli/prompting.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "chat/chat_format.h"
#include "core/error.h"
#include "core/format.h"
#include "core/json.h"
#include "core/json_fields.h"
#include "core/machine.h"
#include "data/render.h"
#include "data/written_check.h"

namespace lorikeet {
namespace {

std::string ContentOf(const std::vector<TextFile>& files, const std::string& name) {
  const auto found = std::find_if(files.begin(), files.end(),
                                  [&](const TextFile& file) { return file.name == name; });
  return found == files.end() ? "" : found->content;
}

}  // namespace

ChatSession::ChatSession(const AnswerOptions& options)
    : name_(BaseModelOf(options.model, options.adapter)),
      loaded_(LoadModel(name_, ParseComputeDtype(options.dtype))),
      variables_(TemplateVariablesOf(options.rendering)),
      date_(options.rendering.date.value_or("")) {
  generation_config_ = ContentOf(loaded_.text_files, "generation_config.json");
  if (options.adapter) {
    adapter_.emplace(LoraAdapter::Load(*loaded_.model, *options.adapter));
    // Its own text files take precedence: it may have been trained with another template.
    if (HasTokenizerFile(*options.adapter)) {
      const TokenizerSources sources = ReadTokenizerFolder(*options.adapter);
      adapter_text_.emplace(LoadTokenizerBundle(sources));
      if (!sources.generation_config_json.empty()) {
        generation_config_ = sources.generation_config_json;
      }
    }
  }
  bundle_ = adapter_text_ ? &*adapter_text_ : &loaded_.Text();
  template_ = ChooseChatTemplate(*bundle_, options.rendering.chat_template.value_or(""));
  stop_strings_ = options.sampling.stop;
  if (template_) AddStopStrings(*template_, &stop_strings_);
  ChooseSampling(options.sampling);
}

void ChatSession::ChooseSampling(const SamplingOptions& options) {
  Json config = Json::object();
  if (!generation_config_.empty()) {
    config = ParseJson(generation_config_, name_ + ": generation_config.json");
  }
  const JsonFields fields(config, name_ + ": generation_config.json");
  const bool samples = fields.Bool("do_sample", false);
  sampling_.max_tokens = options.max_tokens;
  sampling_.seed = static_cast<uint64_t>(options.seed);
  sampling_.temperature =
      options.temperature.value_or(samples ? fields.Number("temperature", 0, 1000, 1) : 0);
  if (samples) {
    sampling_.top_p = fields.Number("top_p", 1e-6, 1, 1);
    sampling_.top_k = std::max<int64_t>(fields.Int("top_k", -1, 1'000'000'000, 0), 0);
    sampling_.min_p = fields.Number("min_p", 0, 1, 0);
  }
  sampling_.top_p = options.top_p.value_or(sampling_.top_p);
  sampling_.top_k = options.top_k.value_or(sampling_.top_k);
  sampling_.min_p = options.min_p.value_or(sampling_.min_p);
  const int64_t vocab_size = model().config().vocab_size;
  for (const int32_t id : bundle_->eos_ids) {
    if (id < vocab_size) sampling_.stop_tokens.push_back(id);
  }
  CheckSamplingParams(sampling_, vocab_size);
}

std::string ChatSession::SamplingText() const {
  if (sampling_.temperature == 0) return "greedy";
  std::string text = fmt::format("temperature {:g}", sampling_.temperature);
  if (sampling_.top_k > 0) text += fmt::format(", top_k {}", sampling_.top_k);
  if (sampling_.top_p < 1) text += fmt::format(", top_p {:g}", sampling_.top_p);
  if (sampling_.min_p > 0) text += fmt::format(", min_p {:g}", sampling_.min_p);
  return text + fmt::format(", seed {}", sampling_.seed);
}

std::string ChatSession::Render(std::span<const Message> messages, const OrderedJson& tools,
                                const OrderedJson& variables) const {
  if (!template_) {
    Fail(ErrorCode::kInvalidArgument,
         "{}: has no chat template, so messages cannot be rendered; give --chat-template (a Jinja "
         "file, chatml, or plain for base models)",
         name_);
  }
  return template_->Render(messages, OptionsFor(tools, variables));
}

RenderOptions ChatSession::OptionsFor(const OrderedJson& tools,
                                      const OrderedJson& variables) const {
  return {.add_generation_prompt = true,
          .tools = tools,
          .variables = MergedVariables(variables_, variables),
          .date = date_};
}

std::vector<Remark> ChatSession::Check(std::span<const Message> messages, const OrderedJson& tools,
                                       const OrderedJson& variables, std::string_view text) const {
  return CheckPrompt(*template_, messages, OptionsFor(tools, variables), text);
}

std::vector<int32_t> ChatSession::Encode(const std::string& prompt) const {
  std::vector<int32_t> ids = bundle_->tokenizer.Encode(prompt);
  PutBos(*bundle_, prompt, &ids);
  return ids;
}

Message MakeMessage(const std::string& role, const std::string& content) {
  return {.role = role, .content = content, .fields = OrderedJson::object()};
}

int64_t SlotsThatFit(const ChatSession& session, int64_t slots, int64_t capacity) {
  const int64_t available = ReadMemory().available;
  const auto bytes = [&](int64_t n) {
    return static_cast<int64_t>(Generator::Plan(session.model(), {.slots = n, .capacity = capacity},
                                                session.adapter_extent())
                                    .total());
  };
  while (slots > 1 && bytes(slots) > available / 10 * 9) slots = (slots + 1) / 2;
  if (bytes(slots) > available) {
    Fail(ErrorCode::kOutOfMemory,
         "a sequence of {} tokens needs {} beside the model, {} are free; shorten the prompt or "
         "lower max_tokens",
         capacity, HumanBytes(bytes(slots)), HumanBytes(available));
  }
  return slots;
}

}  // namespace lorikeet
