// The "model" of tokenizer.json: byte-pair encoding or a unigram model.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "core/json.h"
#include "tokenizer/bpe.h"
#include "tokenizer/unigram.h"

namespace lorikeet {

class SubwordModel {
 public:
  // `byte_level`: whether pieces are raw bytes (see Bpe). Throws Error(kUnsupported) naming another
  // type.
  SubwordModel(const Json& model, bool byte_level, const std::string& where)
      : model_(Read(model, byte_level, where)) {}

  void Encode(std::string_view piece, TokenRun* out) const {
    std::visit([&](const auto& model) { model.Encode(piece, out); }, model_);
  }
  std::optional<int32_t> TokenToId(std::string_view token) const {
    return std::visit([&](const auto& model) { return model.TokenToId(token); }, model_);
  }
  const std::string& IdToToken(int32_t id) const {
    return std::visit([&](const auto& model) -> const std::string& { return model.IdToToken(id); },
                      model_);
  }
  int32_t token_count() const {
    return std::visit([](const auto& model) { return model.token_count(); }, model_);
  }
  int32_t id_limit() const {  // highest id + 1
    return std::visit([](const auto& model) { return model.id_limit(); }, model_);
  }

 private:
  static std::variant<Bpe, Unigram> Read(const Json& model, bool byte_level,
                                         const std::string& where);
  std::variant<Bpe, Unigram> model_;
};

}  // namespace lorikeet
