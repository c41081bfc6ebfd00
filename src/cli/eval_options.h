// The options of `lorikeet eval`.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "recipes/common_options.h"
#include "recipes/rendering.h"

namespace lorikeet {

struct EvalOptions {
  std::string model, dtype;
  RenderingOptions rendering;
  std::optional<std::string> adapter, text, token_logprobs, dump_logits;
  std::vector<std::string> data;
  int batch_tokens;
  bool json;
  CommonOptions common;

  template <class V>
  void ForEach(V& v) {
    v(model, "model", "",
      "Folder in Hugging Face layout, GGUF file, or name in the cache; if not given, the base that "
      "the adapter names.",
      {.group = "Model",
       .aliases = {"model_name_or_path", "base_model", "m"},
       .positional = true,
       .metavar = "PATH"});
    v(adapter, "adapter", std::nullopt, "Adapter to put on the model (PEFT, mlx-lm or GGUF).",
      {.aliases = {"adapter_name_or_path", "lora"}, .metavar = "DIR"});
    v(dtype, "dtype", "auto",
      "What products are computed in; auto: bf16 where the CPU multiplies it natively.",
      {.choices = {"auto", "bf16", "f32"}});
    v(data, "data", {},
      "JSONL files: messages, prompt/completion, text, Alpaca, ShareGPT or tokens.",
      {.group = "Data", .aliases = {"eval_data", "d"}, .metavar = "FILE"});
    v(text, "text", std::nullopt,
      "Plain UTF-8 text instead: cut into pieces of max_length tokens, each starting fresh with "
      "the "
      "BOS that the tokenizer puts before a text.",
      {.metavar = "FILE"});
    rendering.Columns(v);
    rendering.MaxLength(v);
    rendering.Overlong(v);
    rendering.TrainedTokens(v, {"count"});
    rendering.Template(v);
    v(token_logprobs, "token_logprobs", std::nullopt,
      "Write one line {\"logprobs\": [...]} per sequence: of every token but the first.",
      {.group = "Output", .metavar = "FILE"});
    v(dump_logits, "dump_logits", std::nullopt,
      "Write a safetensors file with \"logits\" (tokens of all sequences, vocabulary) in f32: "
      "large.",
      {.metavar = "FILE"});
    v(batch_tokens, "batch_tokens", 2048, "Tokens computed at once.", {.min = 1});
    v(json, "json", false, "Print one JSON object.");
    common.ForEach(v);
  }
};

}  // namespace lorikeet
