// A `ChatSession` holds what generation needs: model, adapter, tokenizer and sampling parameters,
// and formats messages as prompts.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/sampling_options.h"
#include "engine/loaded_model.h"
#include "engine/model_text.h"
#include "model/lora.h"
#include "recipes/rendering.h"
#include "sample/generator.h"

namespace lorikeet {

// Options that `generate` and `chat` share.
struct AnswerOptions {
  std::string model, dtype;
  std::optional<std::string> adapter, system;
  RenderingOptions rendering;  // only its template options
  SamplingOptions sampling;

  template <class V>
  void ForEach(V& v) {
    v(model, "model", "",
      "Folder in Hugging Face layout, GGUF file, or name in the cache; if not given, the base that "
      "the adapter names.",
      {.group = "Model",
       .aliases = {"model_name_or_path", "base_model", "m"},
       .positional = true,
       .metavar = "PATH"});
    v(adapter, "adapter", std::nullopt, "Adapter to answer with (PEFT, mlx-lm or GGUF).",
      {.aliases = {"adapter_name_or_path", "adapter_path"}, .metavar = "DIR"});
    v(dtype, "dtype", "auto",
      "What products are computed in; auto: bf16 where the CPU multiplies it natively.",
      {.aliases = {"torch_dtype", "compute_dtype"}, .choices = {"auto", "bf16", "f32"}});
    rendering.Template(v);
    v(system, "system", std::nullopt, "System prompt, before the first turn.",
      {.aliases = {"system_prompt"}, .metavar = "TEXT"});
    sampling.ForEach(v);
  }
};

class ChatSession {
 public:
  // Loads everything. Throws Error.
  explicit ChatSession(const AnswerOptions& options);

  Model& model() const { return *loaded_.model; }
  // Null without --adapter.
  std::shared_ptr<const LoraWeights> adapter() const {
    return adapter_ ? adapter_->SharedWeights() : nullptr;
  }
  // Maximum over the adapter's modules; 0 without an adapter.
  LoraExtent adapter_extent() const {
    return adapter_ ? adapter_->weights().Extent() : LoraExtent();
  }
  const TokenizerBundle& text() const { return text_->bundle(); }
  bool HasTemplate() const { return text_->HasTemplate(); }
  const std::string& name() const { return name_; }  // name of the model, for error messages
  // Maximum sequence length of the model.
  int64_t MaxPositions() const { return model().config().max_position_embeddings; }

  // As in ModelText.
  std::string Render(std::span<const Message> messages, const OrderedJson& tools = nullptr,
                     const OrderedJson& variables = nullptr) const {
    return text_->Render(messages, tools, variables);
  }
  std::vector<Remark> Check(std::span<const Message> messages, const OrderedJson& tools,
                            const OrderedJson& variables, std::string_view text) const {
    return text_->Check(messages, tools, variables, text);
  }
  std::vector<int32_t> Encode(const std::string& prompt) const { return text_->Encode(prompt); }

  // Sampling parameters from the options and, for options not given, from the model's
  // generation_config.json. Generation stops at the model's end-of-turn tokens.
  const SamplingParams& sampling() const { return sampling_; }
  // Texts that end an answer: from the options and from the chat template.
  const std::vector<std::string>& stop_strings() const { return stop_strings_; }
  std::string SamplingText() const;  // "greedy", "temperature 0.7, top_p 0.9, seed 1"

 private:
  void ChooseSampling(const SamplingOptions& options);

  std::string name_;
  LoadedModel loaded_;
  std::optional<LoraAdapter> adapter_;
  std::optional<ModelText> text_;
  SamplingParams sampling_;
  std::vector<std::string> stop_strings_;
};

// A message of the given role.
Message MakeMessage(const std::string& role, const std::string& content);

// Maximum number of sequences of `capacity` tokens that fit into memory, from 1 to `slots`. Throws
// Error(kOutOfMemory) if not even one fits.
int64_t SlotsThatFit(const ChatSession& session, int64_t slots, int64_t capacity);

}  // namespace lorikeet
