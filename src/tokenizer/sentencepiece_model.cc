#include "tokenizer/sentencepiece_model.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "core/error.h"
#include "core/utf8.h"
#include "tokenizer/protobuf_reader.h"

namespace lorikeet {
namespace {

constexpr size_t kMaxPieces = 1 << 24;

// Settings of the file that only decide which other fields count.
struct Spec {
  uint64_t model_type = 1;
  int64_t bos_id = 1, eos_id = 2;
  std::string bos_piece = "<s>", eos_piece = "</s>";
  bool whitespace_as_suffix = false, escape_whitespaces = true, denormalizes = false;
};

std::string Quoted(std::string_view piece) { return "'" + ToValidUtf8(piece) + "'"; }

void ReadPiece(std::string_view bytes, const std::string& where, SentencePieceModel* model) {
  std::string text;
  float score = 0;
  int32_t type = kNormalPiece;
  ProtobufReader reader(bytes, where);
  while (reader.Next()) {
    if (reader.field() == 1) text = reader.Bytes();
    if (reader.field() == 2) score = reader.Float();
    if (reader.field() == 3) type = static_cast<int32_t>(reader.Varint());
  }
  const size_t id = model->texts.size();
  if (id >= kMaxPieces) Fail(ErrorCode::kCorruptFile, "{}: more than {} pieces", where, kMaxPieces);
  if (text.empty() || !IsValidUtf8(text)) {
    Fail(ErrorCode::kCorruptFile, "{}: piece {} is {}", where, id,
         text.empty() ? "empty" : "not UTF-8");
  }
  if (!std::isfinite(score)) {
    Fail(ErrorCode::kCorruptFile, "{}: piece {} {} has no finite score", where, id, Quoted(text));
  }
  if (type < kNormalPiece || type > kBytePiece) {
    Fail(ErrorCode::kUnsupported, "{}: piece {} {} has the unknown type {}", where, id,
         Quoted(text), type);
  }
  if (type == kUnusedPiece) {
    Fail(ErrorCode::kUnsupported, "{}: piece {} {} is marked as unused, which is not supported",
         where, id, Quoted(text));
  }
  model->texts.push_back(std::move(text));
  model->scores.push_back(score);
  model->types.push_back(type);
}

void ReadTrainerSpec(std::string_view bytes, const std::string& where, SentencePieceModel* model,
                     Spec* spec) {
  ProtobufReader reader(bytes, where);
  while (reader.Next()) {
    switch (reader.field()) {
      case 3:
        spec->model_type = reader.Varint();
        break;
      case 24:
        spec->whitespace_as_suffix = reader.Varint() != 0;
        break;
      case 35:
        model->byte_fallback = reader.Varint() != 0;
        break;
      case 41:
        spec->bos_id = static_cast<int32_t>(reader.Varint());
        break;
      case 42:
        spec->eos_id = static_cast<int32_t>(reader.Varint());
        break;
      case 46:
        spec->bos_piece = reader.Bytes();
        break;
      case 47:
        spec->eos_piece = reader.Bytes();
        break;
      default:  // how it was trained
        break;
    }
  }
}

void ReadNormalizerSpec(std::string_view bytes, const std::string& where, SentencePieceModel* model,
                        Spec* spec) {
  ProtobufReader reader(bytes, where);
  while (reader.Next()) {
    if (reader.field() == 2) model->charsmap = reader.Bytes();
    if (reader.field() == 3) model->add_dummy_prefix = reader.Varint() != 0;
    if (reader.field() == 4) model->remove_extra_whitespaces = reader.Varint() != 0;
    if (reader.field() == 5) spec->escape_whitespaces = reader.Varint() != 0;
  }
}

void ReadDenormalizerSpec(std::string_view bytes, const std::string& where, Spec* spec) {
  ProtobufReader reader(bytes, where);
  while (reader.Next()) {
    if (reader.field() == 2 && !reader.Bytes().empty()) spec->denormalizes = true;
  }
}

void RefuseUnsupported(const Spec& spec, const std::string& where) {
  const auto refuse = [&where](std::string_view what) {
    Fail(ErrorCode::kUnsupported, "{}: a SentencePiece model {} is not supported", where, what);
  };
  if (spec.model_type == 3) refuse("of words");
  if (spec.model_type == 4) refuse("of characters");
  if (spec.model_type != 1 && spec.model_type != 2) {
    refuse(fmt::format("of the unknown type {}", spec.model_type));
  }
  if (spec.whitespace_as_suffix) refuse("with spaces after words (treat_whitespace_as_suffix)");
  if (!spec.escape_whitespaces) refuse("with plain spaces (escape_whitespaces: false)");
  if (spec.denormalizes) refuse("that changes characters when decoding (denormalizer_spec)");
}

// The id of a control piece; -1 if the file says that there is none.
int64_t ControlId(const SentencePieceModel& model, int64_t given, const std::string& name) {
  const auto found = std::find(model.texts.begin(), model.texts.end(), name);
  const auto id = found - model.texts.begin();
  if (given < 0 || found == model.texts.end() || model.types[id] != kControlPiece) return -1;
  return id;
}

void CheckPieces(SentencePieceModel* model, const std::string& where) {
  if (model->texts.empty()) Fail(ErrorCode::kCorruptFile, "{}: has no pieces", where);
  std::unordered_set<std::string_view> seen;
  for (size_t id = 0; id < model->texts.size(); ++id) {
    if (!seen.insert(model->texts[id]).second) {
      Fail(ErrorCode::kCorruptFile, "{}: the piece {} is there twice", where,
           Quoted(model->texts[id]));
    }
    if (model->types[id] != kUnknownPiece) continue;
    if (model->unk_id >= 0) {
      Fail(ErrorCode::kCorruptFile, "{}: has two unknown pieces, {} and {}", where, model->unk_id,
           id);
    }
    model->unk_id = static_cast<int64_t>(id);
  }
  if (model->unk_id < 0) Fail(ErrorCode::kCorruptFile, "{}: has no unknown piece", where);
}

// Files of base64 words with ranks are also named tokenizer.model (Llama 3, Qwen, Kimi).
bool IsTiktoken(std::string_view bytes) {
  const std::string_view line = bytes.substr(0, std::min(bytes.find('\n'), size_t{200}));
  const size_t space = line.find(' ');
  return space != line.npos && space > 0 &&
         line.substr(0, space).find_first_not_of(
             "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvw"
             "xyz0123456789+/=") == line.npos &&
         line.substr(space + 1).find_first_not_of("0123456789\r") == line.npos;
}

}  // namespace

SentencePieceModel ParseSentencePieceModel(std::string_view bytes, const std::string& where) {
  if (IsTiktoken(bytes)) {
    Fail(ErrorCode::kUnsupported,
         "{}: a tiktoken file, not SentencePiece; convert it with `transformers`: "
         "AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)",
         where);
  }
  SentencePieceModel model;
  Spec spec;
  ProtobufReader reader(bytes, where);
  while (reader.Next()) {
    if (reader.field() == 1) ReadPiece(reader.Bytes(), where, &model);
    if (reader.field() == 2) ReadTrainerSpec(reader.Bytes(), where, &model, &spec);
    if (reader.field() == 3) ReadNormalizerSpec(reader.Bytes(), where, &model, &spec);
    if (reader.field() == 5) ReadDenormalizerSpec(reader.Bytes(), where, &spec);
  }
  CheckPieces(&model, where);
  RefuseUnsupported(spec, where);
  model.type = static_cast<SentencePieceModel::Type>(spec.model_type);
  model.bos_id = ControlId(model, spec.bos_id, spec.bos_piece);
  model.eos_id = ControlId(model, spec.eos_id, spec.eos_piece);
  return model;
}

std::string TokenizerJsonFromSentencePiece(const SentencePieceModel& m,
                                           const SentencePieceOptions& options) {
  OrderedJson json = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  OrderedJson added = OrderedJson::array();
  for (size_t id = 0; id < m.texts.size(); ++id) {
    const bool special = m.types[id] == kControlPiece || m.types[id] == kUnknownPiece;
    if (!special && m.types[id] != kUserDefinedPiece) continue;
    added.push_back(AddedTokenJson(id, m.texts[id], special));
  }
  json["added_tokens"] = std::move(added);
  AddSentencePieceSteps({.charsmap = m.charsmap,
                         .charsmap_longest_match = true,
                         .remove_extra_spaces = m.remove_extra_whitespaces,
                         .space_prefix = options.space_prefix,
                         .prefix = options.prefix},
                        &json);
  json["post_processor"] = TemplateJson(options.bos, options.eos);
  std::string model;
  if (m.type == SentencePieceModel::Type::kUnigram) {
    model = UnigramModelJson(m.texts, m.scores, m.unk_id, m.byte_fallback);
  } else {
    PieceIds ids;
    for (size_t id = 0; id < m.texts.size(); ++id) ids.emplace(m.texts[id], id);
    const OrderedJson merges = MergesFromScores({m.texts, m.scores, m.types}, ids, Ties::kLeftmost);
    model = BpeModelJson(
        m.texts,
        {.unk_token = m.texts[m.unk_id], .fuse_unk = true, .byte_fallback = m.byte_fallback},
        merges);
  }
  std::string text = json.dump();
  text.pop_back();  // the closing brace: the model follows
  return text + ",\"model\":" + model + "}";
}

}  // namespace lorikeet
