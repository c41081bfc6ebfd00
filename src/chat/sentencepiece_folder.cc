#include "chat/sentencepiece_folder.h"

#include <algorithm>
#include <unordered_map>

#include "tokenizer/sentencepiece_model.h"

namespace lorikeet {
namespace {

// A token of "added_tokens_decoder" with the id of a piece replaces it: models reserve pieces for
// tokens that are named later.
void RenamePieces(const std::vector<AddedToken>& tokens, SentencePieceModel* model) {
  std::unordered_map<std::string, size_t> ids;
  for (size_t id = 0; id < model->texts.size(); ++id) ids.emplace(model->texts[id], id);
  for (const AddedToken& token : tokens) {
    const auto id = static_cast<size_t>(token.id);
    if (token.id < 0 || id >= model->texts.size() || ids.contains(token.content)) continue;
    ids.erase(model->texts[id]);
    ids.emplace(token.content, id);
    model->texts[id] = token.content;
    if (model->types[id] != kUnknownPiece) {
      model->types[id] = token.special ? kControlPiece : kUserDefinedPiece;
    }
  }
}

NamedId FindId(const std::string& name, const SentencePieceModel& model,
               const std::vector<AddedToken>& tokens) {
  if (name.empty()) return std::nullopt;
  const auto piece = std::find(model.texts.begin(), model.texts.end(), name);
  if (piece != model.texts.end()) return NamedId({name, piece - model.texts.begin()});
  for (const AddedToken& token : tokens) {
    if (token.content == name && token.id >= 0) return NamedId({name, token.id});
  }
  return std::nullopt;
}

}  // namespace

std::string TokenizerJsonOfFolder(const std::string& sentencepiece_model, const JsonFields& config,
                                  const std::string& where, SpecialTokens* tokens) {
  SentencePieceModel model =
      ParseSentencePieceModel(sentencepiece_model, where + ": tokenizer.model");
  const auto name_absent = [&model](int64_t id, std::string* name) {
    if (name->empty() && id >= 0) *name = model.texts[id];
  };
  RenamePieces(tokens->tokens, &model);
  name_absent(model.bos_id, &tokens->bos);
  name_absent(model.eos_id, &tokens->eos);
  name_absent(model.unk_id, &tokens->unk);
  SentencePieceOptions options;
  const std::string type = config.String("tokenizer_class", "");
  options.space_prefix = config.Bool("add_prefix_space", model.add_dummy_prefix);
  if (type == "LlamaTokenizer" || type == "LlamaTokenizerFast") {
    using Prefix = SentencePieceRules::Prefix;
    options.prefix =
        config.Bool("legacy", false) ? Prefix::kMetaspaceAlways : Prefix::kMetaspaceFirst;
  }
  if (config.Bool("add_bos_token", false)) options.bos = FindId(tokens->bos, model, tokens->tokens);
  if (config.Bool("add_eos_token", false)) options.eos = FindId(tokens->eos, model, tokens->tokens);
  return TokenizerJsonFromSentencePiece(model, options);
}

}  // namespace lorikeet
