#include "tokenizer/subword_model.h"

#include "core/error.h"
#include "core/json_fields.h"

namespace lorikeet {

std::variant<Bpe, Unigram> SubwordModel::Read(const Json& model, bool byte_level,
                                              const std::string& where) {
  const std::string type = JsonFields(model, where + ": model").String("type", "BPE");
  if (type == "BPE") return Bpe(model, byte_level, where);
  if (type != "Unigram") {
    Fail(ErrorCode::kUnsupported, "{}: model type {}; only BPE and Unigram are supported", where,
         type);
  }
  if (byte_level) {
    Fail(ErrorCode::kUnsupported, "{}: a Unigram model after ByteLevel is not supported", where);
  }
  return Unigram(model, where);
}

}  // namespace lorikeet
