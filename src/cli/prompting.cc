#include "cli/prompting.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "chat/chat_format.h"
#include "core/error.h"
#include "core/format.h"
#include "core/machine.h"

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
      loaded_(LoadModel(name_, ParseComputeDtype(options.dtype))) {
  // The model's; refers to loaded_.
  std::shared_ptr<const TokenizerBundle> bundle(std::shared_ptr<void>(), &loaded_.Text());
  std::string generation_config = ContentOf(loaded_.text_files, "generation_config.json");
  if (options.adapter) {
    adapter_.emplace(LoraAdapter::Load(*loaded_.model, *options.adapter));
    // Its own text files take precedence: it may have been trained with another template.
    if (HasTokenizerFile(*options.adapter)) {
      const TokenizerSources sources = ReadTokenizerFolder(*options.adapter);
      bundle = std::make_shared<const TokenizerBundle>(LoadTokenizerBundle(sources));
      if (!sources.generation_config_json.empty()) {
        generation_config = sources.generation_config_json;
      }
    }
  }
  text_.emplace(std::move(bundle), generation_config, name_,
                TextOptions{.chat_template = options.rendering.chat_template.value_or(""),
                            .variables = TemplateVariablesOf(options.rendering),
                            .date = options.rendering.date.value_or("")});
  stop_strings_ = options.sampling.stop;
  if (text_->HasTemplate()) AddStopStrings(text_->Template(), &stop_strings_);
  ChooseSampling(options.sampling);
}

void ChatSession::ChooseSampling(const SamplingOptions& options) {
  sampling_ = text_->configured_sampling().value_or(SamplingParams{.temperature = 0});
  sampling_.max_tokens = options.max_tokens;
  sampling_.seed = static_cast<uint64_t>(options.seed);
  sampling_.temperature = options.temperature.value_or(sampling_.temperature);
  sampling_.top_p = options.top_p.value_or(sampling_.top_p);
  sampling_.top_k = options.top_k.value_or(sampling_.top_k);
  sampling_.min_p = options.min_p.value_or(sampling_.min_p);
  const int64_t vocab_size = model().config().vocab_size;
  sampling_.stop_tokens = text_->StopTokens(vocab_size);
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
