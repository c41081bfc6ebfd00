// A byte-level tokenizer for tests, with a few merges and special tokens, written as the files of
// real models and loaded like these.
#pragma once
#include <string>
#include <vector>

#include "chat/bundle.h"
#include "core/json.h"

namespace lorikeet {

inline constexpr const char* kChatMl =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>' + "
    "'\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

// As in Llama 3: begins with BOS, trims contents.
inline constexpr const char* kLlama3 =
    "{{- bos_token }}{%- for message in messages %}{{- '<|start_header_id|>' + message['role'] + "
    "'<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' "
    "}}{%- endif %}";

// As in Mistral: no generation prompt, no system messages, turns must alternate.
inline constexpr const char* kMistral =
    "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 "
    "% 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}";

// As in Qwen 3: the thoughts of all turns except the last are removed.
inline constexpr const char* kForgetsThoughts =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' and not loop.last %}{{ "
    "message['content'].split('</think>')[-1] }}"
    "{% else %}{{ message['content'] }}{% endif %}{{ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

// As in DeepSeek R1: the generation prompt opens a thought that the finished turn does not show.
inline constexpr const char* kOpensThought =
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST]' + "
    "message['content'] }}"
    "{% else %}{{ '[/INST]' + message['content'] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '[/INST]<think>\\n' }}{% endif %}";

// As in SmolLM2: a default system message if the conversation has none.
inline constexpr const char* kDefaultSystem =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\\nBe kind.<|im_end|>\\n' }}{% endif %}{{ '<|im_start|>' + "
    "message['role'] + '\\n' + "
    "message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

struct TinyBundleOptions {
  std::string chat_template = {};
  std::string bos = "<s>", eos = "<|im_end|>";
  bool add_bos = false;
  // Merges in the alphabet of byte-level BPE, in which a space is U+0120 and a line break U+010A.
  std::vector<std::string> merges = {"h e", "l l", "he ll", "hell o"};
};

namespace tiny_bundle {

inline std::string Utf8(int code) {
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3F))};
}

// The 256 characters for bytes: printable ones are themselves, the others start at U+0100.
inline std::vector<std::string> ByteAlphabet() {
  std::vector<std::string> alphabet;
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    alphabet.push_back(Utf8(printable ? byte : next++));
  }
  return alphabet;
}

// "<s>" is the first added token.
inline OrderedJson AddBos(const std::string& bos, size_t id) {
  const OrderedJson token = {{"SpecialToken", {{"id", bos}, {"type_id", 0}}}};
  const auto text = [](const char* name) {
    return OrderedJson{{"Sequence", {{"id", name}, {"type_id", 0}}}};
  };
  OrderedJson processor = {{"type", "TemplateProcessing"}};
  processor["single"] = OrderedJson::array({token, text("A")});
  processor["pair"] = OrderedJson::array({token, text("A"), text("B")});
  processor["special_tokens"][bos] = {{"id", bos}, {"ids", {id}}, {"tokens", {bos}}};
  return processor;
}

inline OrderedJson TokenizerJson(const TinyBundleOptions& options) {
  OrderedJson vocab = OrderedJson::object(), added = OrderedJson::array();
  int id = 0;
  for (const std::string& byte : ByteAlphabet()) vocab[byte] = id++;
  for (std::string merge : options.merges) {
    merge.erase(merge.find(' '), 1);
    vocab[merge] = id++;
  }
  for (const char* token : {"<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>",
                            "<|end_header_id|>", "<|eot_id|>", "[INST]", "[/INST]"}) {
    added.push_back({{"id", id++},
                     {"content", token},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  const OrderedJson byte_level = {{"type", "ByteLevel"},
                                  {"add_prefix_space", false},
                                  {"trim_offsets", true},
                                  {"use_regex", true}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level},
          {"post_processor", options.add_bos ? AddBos(options.bos, vocab.size()) : OrderedJson()},
          {"decoder", byte_level},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", false},
            {"vocab", vocab},
            {"merges", options.merges}}}};
}

}  // namespace tiny_bundle

inline TokenizerBundle MakeTinyBundle(const TinyBundleOptions& options) {
  OrderedJson config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                        {"bos_token", options.bos},
                        {"add_bos_token", options.add_bos},
                        {"add_eos_token", false}};
  if (!options.eos.empty()) config["eos_token"] = options.eos;
  if (!options.chat_template.empty()) config["chat_template"] = options.chat_template;
  TokenizerSources sources;
  sources.where = "tiny bundle";
  sources.tokenizer_json = tiny_bundle::TokenizerJson(options).dump();
  sources.tokenizer_config_json = config.dump();
  return LoadTokenizerBundle(sources);
}

}  // namespace lorikeet
