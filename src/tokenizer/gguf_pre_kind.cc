#include "tokenizer/gguf_pre_kind.h"

#include <string_view>

#include "core/error.h"
#include "tokenizer/digit_groups.h"
#include "tokenizer/scanners.h"

namespace lorikeet {
namespace {

constexpr char kQwen35[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kGpt4o[] =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kTekken[] =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kDeepSeekWords[] =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kHanAndKana[] = "[一-龥\u3040-ゟ゠-ヿ]+";
constexpr char kSparkWords[] =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+)";
// Hangul; punctuation of East Asian texts; Bopomofo; Han and kana.
constexpr char kYoutuScripts[] =
    "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥\u3040-"
    "ゟ゠-"
    "ヿ]"
    "+";
constexpr char kYoutuWords[] =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kMiniCpm5Words[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kSeedCoder[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)";
// Runs of Han characters by themselves; the other letters split before a capital. The model's own
// file says "and not Han" by intersections of classes; llama.cpp does not split at capitals.
constexpr char kKimiK2[] =
    R"(\p{Han}+|[^\r\n\p{L}\p{N}]?(?:(?!\p{Han})[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])*(?:(?!\p{Han})[\p{Ll}\p{Lm}\p{Lo}\p{M}])+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?(?:(?!\p{Han})[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])+(?:(?!\p{Han})[\p{Ll}\p{Lm}\p{Lo}\p{M}])*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kLines[] = R"([^\n]+|[\n]+)";

}  // namespace

PreKind PreKindOf(const std::string& pre) {
  const std::string name = " " + pre + " ";
  const auto any_of = [&](std::string_view names) { return names.find(name) != names.npos; };
  if (pre.empty() || any_of(" default gpt-2 phi-2 mpt olmo jais trillion gigachat mellum exaone4 "
                            "granite-docling ")) {
    return {.splits = {}, .gpt2_pattern = true};
  }
  if (any_of(" smollm starcoder refact codeshell exaone minerva-7b mellum2 ")) {
    return {.splits = {}, .single_digits = true, .gpt2_pattern = true};
  }
  if (any_of(" command-r ")) {
    return {.splits = {}, .single_digits = true, .gpt2_pattern = true, .nfc = true};
  }
  if (any_of(" llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral lfm2 ")) {
    return {.splits = {kLlama3Pattern}, .ignore_merges = true};
  }
  if (any_of(" dbrx smaug-bpe chatglm-bpe glm4 ")) return {.splits = {kLlama3Pattern}};
  if (any_of(" qwen2 deepseek-r1-qwen ")) return {.splits = {kQwen2Pattern}, .nfc = true};
  if (any_of(" qwen35 ")) return {.splits = {kQwen35}};
  if (any_of(" stablelm2 hunyuan solar-open grok-2 ")) return {.splits = {kQwen2Pattern}};
  if (any_of(" gpt-4o llama4 kanana2 minimax-m2 ")) return {.splits = {kGpt4o}};
  if (any_of(" tekken ")) return {.splits = {kTekken}, .ignore_merges = true};
  if (any_of(" deepseek-v3 hunyuan-dense hy_v4 joyai-llm ")) {
    return {.splits = {R"(\p{N}{1,3})", kHanAndKana, kDeepSeekWords}};
  }
  if (any_of(" spark2_5 ")) {
    return {.splits = {R"(\p{N}{1,3})", kHanAndKana, kSparkWords, R"(\p{N})"}};
  }
  if (any_of(" youtu ")) return {.splits = {kYoutuScripts, kYoutuWords}, .ignore_merges = true};
  if (any_of(" minicpm5 ")) {
    return {.splits = {R"(\p{N}{1,3})", kMiniCpm5Words}, .ignore_merges = true};
  }
  if (any_of(" seed-coder ")) return {.splits = {kSeedCoder}};
  if (any_of(" laguna ")) return {.splits = {kLines, kQwen2Pattern}};
  if (any_of(" superbpe ")) return {.splits = {R"(\p{N}+)", kDigitGroupStarts}};
  if (any_of(" tiny_aya cohere2moe ")) {
    return {.splits = {kDigitGroups, kGpt4o}};
  }
  if (any_of(" kimi-k2 ")) return {.splits = {kKimiK2}};
  if (any_of(" gemma4 ")) return {.splits = {kLines}, .sentence_piece = true};
  if (any_of(" deepseek-coder ")) {
    return {.splits = {"[\r\n]", R"(\s?\p{L}+)", R"(\s?\p{P}+)", "[一-龥\u0800-一가-\uD7FF]+",
                       R"(\p{N})"}};
  }
  if (any_of(" deepseek-llm ")) {
    return {.splits = {"[\r\n]", R"(\s?[\p{Lu}\p{Ll}\p{Lt}]+)",
                       "\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+", R"(\s+$)",
                       "[一-龥\u0800-一가-\uD7FF]+", R"(\p{N}+)"}};
  }
  Fail(ErrorCode::kUnsupported,
       "GGUF: tokenizer.ggml.pre '{}' is not known; use the model's Hugging Face folder instead",
       pre);
}

std::string PreNameOf(const PreKind& kind) {
  constexpr const char* kNames[] = {
      "gpt-2",      "smollm",         "command-r",   "llama-bpe",   "dbrx",     "qwen2",
      "qwen35",     "gpt-4o",         "stablelm2",   "tekken",      "youtu",    "minicpm5",
      "seed-coder", "laguna",         "kimi-k2",     "deepseek-v3", "spark2_5", "superbpe",
      "tiny_aya",   "deepseek-coder", "deepseek-llm"};
  for (const char* name : kNames) {
    if (PreKindOf(name) == kind) return name;
  }
  return "";
}

}  // namespace lorikeet
