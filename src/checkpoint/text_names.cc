#include "checkpoint/text_names.h"

#include <algorithm>
#include <array>

namespace lorikeet {
namespace {

constexpr std::string_view kOlderPrefix = "language_model.model.",
                           kEmbedding = "embed_tokens.weight";
constexpr std::string_view kHead = "lm_head.", kOlderHead = "language_model.lm_head.";
// The longer ones first: they begin as the shorter do.
constexpr std::array kPrefixes = {kWrappedPrefix, kOlderPrefix, kPlainPrefix};

std::string Replaced(std::string_view name, std::string_view from, std::string_view to) {
  return std::string(to).append(name.substr(from.size()));
}

}  // namespace

bool IsWrapper(const Json& config) {
  const auto text = config.find("text_config");
  return text != config.end() && text->is_object();
}

std::string WithoutWrapper(std::string_view name) {
  for (const std::string_view prefix : {kWrappedPrefix, kOlderPrefix}) {
    if (name.starts_with(prefix)) return Replaced(name, prefix, kPlainPrefix);
  }
  return std::string(name.starts_with(kOlderHead) ? Replaced(name, kOlderHead, kHead) : name);
}

TextNames::TextNames(const std::vector<NamedTensor>& tensors) {
  for (const std::string_view prefix : kPrefixes) {
    const std::string embedding = std::string(prefix).append(kEmbedding);
    const bool here = std::any_of(tensors.begin(), tensors.end(),
                                  [&](const NamedTensor& t) { return t.name == embedding; });
    if (!here) continue;
    prefix_ = prefix;
    break;
  }
  if (prefix_ == kOlderPrefix) head_ = kOlderHead;
}

std::string TextNames::OfModule(std::string_view file_name) const {
  if (file_name.starts_with(head_)) return Replaced(file_name, head_, kHead);
  if (prefix_.empty() || !file_name.starts_with(prefix_)) return "";
  if (prefix_ == kPlainPrefix) {  // "model.vision_tower." may stand beside "model.layers."
    const std::string_view rest = file_name.substr(prefix_.size());
    const bool text =
        rest.starts_with("layers.") || rest.starts_with("norm.") || rest == kEmbedding;
    if (!text) return "";
  }
  return Replaced(file_name, prefix_, kWrappedPrefix);
}

std::string TextNames::InFile(std::string_view module_name) const {
  if (module_name.starts_with(kHead)) return Replaced(module_name, kHead, head_);
  if (prefix_.empty() || !module_name.starts_with(kWrappedPrefix)) return std::string(module_name);
  return Replaced(module_name, kWrappedPrefix, prefix_);
}

}  // namespace lorikeet
