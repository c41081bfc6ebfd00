#include "tokenizer/post_processor.h"

#include "core/error.h"
#include "core/json_fields.h"
#include "tokenizer/normalizer.h"

namespace lorikeet {

PostProcessor::PostProcessor(const Json& json, const std::string& where) : where_(where) {
  Parse(json, 0);
}

void PostProcessor::Parse(const Json& json, int depth) {
  if (json.is_null()) return;
  const JsonFields fields(json, where_);
  if (depth > kMaxSequenceDepth) Fail(ErrorCode::kUnsupported, "{}: nested too deeply", where_);
  const std::string type = fields.String("type");
  if (type == "Sequence") {
    for (const Json& step : fields.Array("processors")) Parse(step, depth + 1);
  } else if (type == "TemplateProcessing") {
    ParseTemplate(json);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    before_.insert(before_.begin(), PairedId(fields, "cls"));
    after_.push_back(PairedId(fields, "sep"));
  } else if (type != "ByteLevel") {  // which only trims offsets: ours keep the spaces
    Fail(ErrorCode::kUnsupported, "{}: post-processor {} is not supported", where_, type);
  }
}

// ["token", id]
int32_t PostProcessor::PairedId(const JsonFields& fields, const char* key) {
  const Json& value = fields.At(key);
  const bool ok = value.is_array() && value.size() == 2 && value[0].is_string() &&
                  value[1].is_number_unsigned() && value[1].get<uint64_t>() < INT32_MAX;
  if (!ok) fields.Expected(key, "[\"token\", id]");
  return value[1].get<int32_t>();
}

// "single": special tokens around one {"Sequence": {"id": "A"}}; "special_tokens" defines them.
void PostProcessor::ParseTemplate(const Json& json) {
  const JsonFields fields(json, where_);
  bool seen_text = false;
  std::vector<int32_t> before, after;
  for (const Json& item : fields.Array("single")) {
    const JsonFields part(item, fields.Where("single"));
    if (part.Has("Sequence")) {
      if (seen_text) part.Expected("Sequence", "the text once");
      seen_text = true;
      continue;
    }
    const JsonFields name(part.At("SpecialToken"), part.Where("SpecialToken"));
    const JsonFields all(fields.At("special_tokens"), fields.Where("special_tokens"));
    const std::string id = name.String("id");
    const JsonFields token(all.At(id), all.Where(id));
    for (const Json& value : token.Array("ids")) {
      const bool ok = value.is_number_unsigned() && value.get<uint64_t>() < INT32_MAX;
      if (!ok) token.Expected("ids", "token ids");
      (seen_text ? after : before).push_back(value.get<int32_t>());
    }
  }
  if (!seen_text) fields.Expected("single", "a place for the text");
  before_.insert(before_.begin(), before.begin(), before.end());
  after_.insert(after_.end(), after.begin(), after.end());
}

void PostProcessor::CheckIds(int32_t limit) const {
  for (const auto* ids : {&before_, &after_}) {
    for (const int32_t id : *ids) {
      if (id >= limit) {
        Fail(ErrorCode::kCorruptFile, "{}: id {} is beyond the vocabulary of {}", where_, id,
             limit);
      }
    }
  }
}

void PostProcessor::Apply(std::vector<int32_t>* ids) const {
  ids->insert(ids->begin(), before_.begin(), before_.end());
  ids->insert(ids->end(), after_.begin(), after_.end());
}

}  // namespace lorikeet
