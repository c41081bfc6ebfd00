#include "data/dataset_files.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/error.h"
#include "core/json.h"
#include "data/conversation.h"
#include "data/row_file.h"

namespace lorikeet {
namespace {

// A tokenizer of ids without text: added tokens named by their number.
TokenizerBundle BareIds(int64_t vocab_size, const std::string& where) {
  Json vocab = Json::object();  // insertion into an ordered one is linear
  for (int64_t id = 0; id < vocab_size; ++id) vocab["<" + std::to_string(id) + ">"] = id;
  const Json json = {
      {"version", "1.0"},
      {"added_tokens", Json::array()},
      {"model", {{"type", "BPE"}, {"vocab", std::move(vocab)}, {"merges", Json::array()}}}};
  return {.tokenizer = Tokenizer::FromJson(json.dump(), where)};
}

Format FormatOfFile(const std::string& path, const ColumnMap& columns) {
  const RowFile file(path);
  try {
    return ParseRecord(file.rows().front(), nullptr, columns).format;
  } catch (const Error& e) {
    Fail(e.code(), "{}:{}: {}", path, file.rows().front().line, e.what());
  }
}

// A tokenizer may have more tokens than the embedding of the model has rows.
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

Dataset LoadExamples(const std::vector<std::string>& paths, const DatasetText& text,
                     const RenderConfig& config) {
  Dataset all;
  std::optional<TokenizerBundle> bare;
  for (const std::string& path : paths) {
    if (text.tokenizer == nullptr) {
      if (FormatOfFile(path, config.columns) != Format::kTokens) FailWithoutTokenizer(text.where);
      if (!bare) bare = BareIds(text.vocab_size, text.where);
    }
    Dataset one = LoadDataset(path, text.tokenizer != nullptr ? *text.tokenizer : *bare, config);
    CheckVocabulary(one, text.vocab_size, path);
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
