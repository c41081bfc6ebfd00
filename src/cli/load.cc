#include "cli/load.h"

#include <algorithm>
#include <future>
#include <span>

#include "checkpoint/adapter_formats.h"
#include "core/error.h"
#include "core/json.h"
#include "data/conversation.h"
#include "data/row_file.h"

namespace lorikeet {
namespace {

// Ids without words: added tokens named by their number.
TokenizerBundle BareIds(int64_t vocab_size, const std::string& where) {
  Json vocab = Json::object();  // an ordered one would look through all keys for each
  for (int64_t id = 0; id < vocab_size; ++id) vocab["<" + std::to_string(id) + ">"] = id;
  const Json json = {
      {"version", "1.0"},
      {"added_tokens", Json::array()},
      {"model", {{"type", "BPE"}, {"vocab", std::move(vocab)}, {"merges", Json::array()}}}};
  return {.tokenizer = Tokenizer::FromJson(json.dump(), where)};
}

Format FormatOf(const std::string& path) {
  const RowFile file(path);
  try {
    return ParseRecord(file.rows().front()).format;
  } catch (const Error& e) {
    Fail(e.code(), "{}:{}: {}", path, file.rows().front().line, e.what());
  }
}

// A tokenizer may know more tokens than the model has rows for.
void CheckVocabulary(const Dataset& data, int64_t vocab_size, const std::string& path) {
  const auto beyond = [&](const std::vector<int32_t>& ids) {
    return std::find_if(ids.begin(), ids.end(),
                        [&](int32_t id) { return id < 0 || id >= vocab_size; });
  };
  for (size_t i = 0; i < data.examples.size(); ++i) {
    for (const auto* ids : {&data.examples[i].tokens, &data.examples[i].target_tokens}) {
      const auto bad = beyond(*ids);
      if (bad == ids->end()) continue;
      Fail(ErrorCode::kInvalidArgument,
           "{}:{}: token id {} is beyond the model's vocabulary of {}; is this the model's own "
           "tokenizer?",
           path, data.line[i], *bad, vocab_size);
    }
  }
}

void AddStats(const DataStats& from, const std::string& path, bool several, DataStats* to) {
  to->rows += from.rows;
  to->split_rows += from.split_rows;
  to->rows_without_target += from.rows_without_target;
  to->truncated += from.truncated;
  to->dropped_too_long += from.dropped_too_long;
  to->dropped_by_truncation += from.dropped_by_truncation;
  to->reworded += from.reworded;
  to->straddling += from.straddling;
  to->without_end += from.without_end;
  for (const std::string& note : from.notes) {
    to->notes.push_back(several ? path + ": " + note : note);
  }
  if (to->bos_rule.empty()) {
    to->bos_rule = from.bos_rule;
  } else if (to->bos_rule != from.bos_rule) {
    to->bos_rule += "; " + path + ": " + from.bos_rule;
  }
}

}  // namespace

const TokenizerBundle& LoadedModel::Text() const {
  if (!tokenizer) {
    Fail(ErrorCode::kNotFound,
         "{}: has no tokenizer.json, so text cannot be read or written; put the model's tokenizer "
         "files beside its weights",
         model->source().path());
  }
  return *tokenizer;
}

DType ParseComputeDtype(const std::string& name) {
  if (name == "auto") return DefaultComputeDtype();
  if (name == "f32") return DType::kF32;
  if (name == "bf16") {
    if (DefaultComputeDtype() != DType::kBF16) {
      Fail(ErrorCode::kUnsupported,
           "dtype bf16: this CPU does not multiply bf16 natively; use f32 or auto");
    }
    return DType::kBF16;
  }
  Fail(ErrorCode::kInvalidArgument, "dtype '{}' is not one of auto, bf16, f32", name);
}

LoadedModel LoadModel(const std::string& path_or_name, DType compute) {
  // Beside the weights, which wait for memory: the tokenizer is text to be parsed.
  auto tokenizer =
      std::async(std::launch::async, [&path_or_name]() -> std::optional<TokenizerBundle> {
        const auto sources = TokenizerSourcesOf(ModelSource::Open(path_or_name));
        if (!sources) return std::nullopt;
        return LoadTokenizerBundle(*sources);
      });
  LoadedModel loaded;
  loaded.model = Model::Load(path_or_name, compute);
  loaded.text_files = CollectTextFiles(loaded.model->source());
  loaded.tokenizer = tokenizer.get();
  return loaded;
}

std::string BaseModelOf(const std::string& model, const std::optional<std::string>& adapter) {
  if (!model.empty()) return model;
  if (!adapter) {
    Fail(ErrorCode::kInvalidArgument,
         "no model: give --model (a folder, a GGUF file or a name in the Hugging Face cache)");
  }
  std::string base = BaseNamedByAdapter(*adapter);
  if (base.empty()) {
    Fail(ErrorCode::kInvalidArgument, "{}: names no base model; give --model", *adapter);
  }
  return base;
}

Dataset LoadExamples(const std::vector<std::string>& paths, const LoadedModel& loaded,
                     const RenderConfig& config) {
  Dataset all;
  std::optional<TokenizerBundle> bare;
  for (const std::string& path : paths) {
    if (!loaded.tokenizer) {
      if (FormatOf(path) != Format::kTokens) loaded.Text();  // throws
      if (!bare) bare = BareIds(loaded.model->config().vocab_size, loaded.model->source().path());
    }
    Dataset one = LoadDataset(path, loaded.tokenizer ? *loaded.tokenizer : *bare, config);
    CheckVocabulary(one, loaded.model->config().vocab_size, path);
    if (all.examples.empty()) all.stats.format = one.stats.format;
    AddStats(one.stats, path, paths.size() > 1, &all.stats);
    // Lines number rows across files, so that a row's examples stay together in a split.
    const int64_t before = all.line.empty() ? 0 : all.line.back();
    for (size_t i = 0; i < one.examples.size(); ++i) {
      all.examples.push_back(std::move(one.examples[i]));
      all.line.push_back(before + one.line[i]);
    }
  }
  CountExamples(all);
  return all;
}

}  // namespace lorikeet
