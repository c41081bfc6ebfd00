#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <cstdlib>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/utf8.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/aligned_text.h"
#include "tokenizer/decoder.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/post_processor.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/subword_model.h"

namespace lorikeet {

struct Tokenizer::Parts {
  Parts(const Json& json, std::span<const AddedToken> more, const std::string& where)
      : normalizer(Field(json, "normalizer"), where + ": normalizer"),
        pre_tokenizer(Field(json, "pre_tokenizer"), where + ": pre_tokenizer"),
        model(Field(json, "model"), pre_tokenizer.byte_level(), where),
        added(Field(json, "added_tokens"), more, model, normalizer, where),
        post_processor(Field(json, "post_processor"), where + ": post_processor"),
        decoder(Field(json, "decoder"), where + ": decoder"),
        kind(KindOf(json)) {
    post_processor.CheckIds(std::max(model.id_limit(), added.id_limit()));
  }

  // Null where there is none.
  static const Json& Field(const Json& json, const char* key) {
    static const Json null;
    const auto it = json.is_object() ? json.find(key) : json.end();
    return json.is_object() && it != json.end() ? *it : null;
  }
  static std::string TypeOf(const Json& part) {
    const Json& type = Field(part, "type");
    return type.is_string() ? type.get<std::string>() : "";
  }
  // The type of a part, or those of its members.
  static std::string TypesOf(const Json& part, const char* members) {
    const Json& list = Field(part, members);
    if (!list.is_array()) return TypeOf(part);
    std::string types;
    for (const Json& member : list) types += (types.empty() ? "" : " ") + TypeOf(member);
    return types;
  }
  static std::string KindOf(const Json& json) {
    const Json& model = Field(json, "model");
    std::string kind = TypeOf(model).empty() ? "BPE" : TypeOf(model);
    if (Field(model, "byte_fallback") == true) kind += ", byte fallback";
    const auto add = [&](const char* what, const std::string& types) {
      if (!types.empty()) kind += fmt::format(", {} {}", what, types);
    };
    add("normalizer", TypesOf(Field(json, "normalizer"), "normalizers"));
    add("pre-tokenizer", TypesOf(Field(json, "pre_tokenizer"), "pretokenizers"));
    return kind;
  }

  // A token as the decoder reads it; "" if there is none.
  const std::string& TextOf(int32_t id) const {
    const std::string* text = added.TextOf(id);
    return text ? *text : model.IdToToken(id);
  }

  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  SubwordModel model;
  AddedTokens added;
  PostProcessor post_processor;
  Decoder decoder;
  std::string kind;
};

namespace {

constexpr size_t kMaxTextBytes = size_t{1} << 31;

// The steps of one call. Origins are kept only if offsets are requested.
template <class Parts>
class Pass {
 public:
  Pass(const Parts& parts, bool with_offsets)
      : parts_(parts), with_offsets_(with_offsets), run_(with_offsets) {}

  void Text(std::string_view text) {
    if (text.size() > kMaxTextBytes) {
      Fail(ErrorCode::kInvalidArgument, "text of {} bytes to tokenize (limit {}); split it",
           text.size(), kMaxTextBytes);
    }
    AlignedText whole(text, 0, with_offsets_);
    if (!IsValidUtf8(text)) ReplaceIllFormed(&whole);
    parts_.added.Split(whole.view(), false, [&](Span span, int32_t id) {
      if (id >= 0) return Emit(id, whole.Origin(span.begin, span.end));
      AlignedText segment(whole, span.begin, span.end);
      parts_.normalizer.Apply(&segment);
      Normalized(segment);
    });
  }

  Encoding Take() {
    encoding_.ids = std::move(run_.ids);
    return std::move(encoding_);
  }

 private:
  static void ReplaceIllFormed(AlignedText* text) {
    const std::string_view view = text->view();
    Rewriter out(text);
    for (size_t i = 0; i < view.size();) {
      const int length = Utf8SequenceLength(view, i);
      const Span span{static_cast<uint32_t>(i), static_cast<uint32_t>(i + std::abs(length))};
      length > 0 ? out.Copy(span.begin, span.end) : out.Put("\xEF\xBF\xBD", span);
      i = span.end;
    }
    out.Commit();
  }

  void Normalized(const AlignedText& text) {
    parts_.added.Split(text.view(), true, [&](Span span, int32_t id) {
      if (id >= 0) return Emit(id, text.Origin(span.begin, span.end));
      AlignedText segment(text, span.begin, span.end);
      parts_.pre_tokenizer.Apply(&segment, &pieces_);
      Pieces(segment);
    });
  }

  void Pieces(const AlignedText& text) {
    const std::string_view view = text.view();
    for (const Span& piece : pieces_) {
      const size_t first = run_.ids.size();
      parts_.model.Encode(view.substr(piece.begin, piece.end - piece.begin), &run_);
      if (!with_offsets_) continue;
      uint32_t at = piece.begin;
      for (size_t t = first; t < run_.ids.size(); ++t) {
        const Span origin = text.Origin(at, at + run_.lengths[t]);
        at += run_.lengths[t];
        AddSpan(origin);
      }
    }
  }

  void Emit(int32_t id, Span origin) {
    run_.Add(id, 0);
    if (with_offsets_) AddSpan(origin);
  }
  void AddSpan(Span origin) {
    encoding_.begin.push_back(origin.begin);
    encoding_.end.push_back(origin.end);
  }

  const Parts& parts_;
  const bool with_offsets_;
  TokenRun run_;
  Encoding encoding_;
  std::vector<Span> pieces_;
};

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::FromJson(std::string_view tokenizer_json, const std::string& where,
                              std::span<const AddedToken> more) {
  const Json json = ParseJson(tokenizer_json, where);
  if (!json.is_object()) Fail(ErrorCode::kCorruptFile, "{}: expected a JSON object", where);
  return Tokenizer(std::make_unique<const Parts>(json, more, where));
}

Tokenizer Tokenizer::FromFile(const std::string& path) { return FromJson(ReadFile(path), path); }

std::vector<int32_t> Tokenizer::Encode(std::string_view text, bool add_special_tokens) const {
  Pass pass(*parts_, false);
  pass.Text(text);
  Encoding encoding = pass.Take();
  if (add_special_tokens) parts_->post_processor.Apply(&encoding.ids);
  return std::move(encoding.ids);
}

Encoding Tokenizer::EncodeWithOffsets(std::string_view text, bool add_special_tokens) const {
  Pass pass(*parts_, true);
  pass.Text(text);
  Encoding encoding = pass.Take();
  if (add_special_tokens) {
    const auto size = static_cast<uint32_t>(text.size());
    const PostProcessor& post = parts_->post_processor;
    post.Apply(&encoding.ids);
    for (auto* offsets : {&encoding.begin, &encoding.end}) {
      offsets->insert(offsets->begin(), post.before().size(), 0);
      offsets->insert(offsets->end(), post.after().size(), size);
    }
  }
  return encoding;
}

std::string Tokenizer::Decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const int32_t id : ids) {
    if (skip_special_tokens && parts_->added.IsSpecial(id)) continue;
    const std::string& token = parts_->TextOf(id);
    if (!token.empty()) tokens.push_back(token);
  }
  return parts_->decoder.Decode(std::move(tokens));
}

int32_t Tokenizer::VocabSize() const {
  return std::max(parts_->model.id_limit(), parts_->added.id_limit());
}

std::optional<int32_t> Tokenizer::TokenToId(std::string_view token) const {
  const auto added = parts_->added.TokenToId(token);
  return added ? added : parts_->model.TokenToId(token);
}

std::string Tokenizer::IdToToken(int32_t id) const {
  const std::string* added = parts_->added.IdToToken(id);
  return added ? *added : parts_->model.IdToToken(id);
}

std::string Tokenizer::BytesOf(int32_t id) const {
  const std::string& token = parts_->TextOf(id);
  return token.empty() ? "" : parts_->decoder.BytesOf(token);
}

bool Tokenizer::IsSpecial(int32_t id) const { return parts_->added.IsSpecial(id); }

const std::vector<AddedToken>& Tokenizer::added_tokens() const { return parts_->added.tokens(); }
const std::string& Tokenizer::kind() const { return parts_->kind; }
const std::vector<int32_t>& Tokenizer::before() const { return parts_->post_processor.before(); }

}  // namespace lorikeet
