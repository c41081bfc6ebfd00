#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <cstdlib>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/utf8.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/aligned_text.h"
#include "tokenizer/bpe.h"
#include "tokenizer/decoder.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/post_processor.h"
#include "tokenizer/pre_tokenizer.h"

namespace lorikeet {

struct Tokenizer::Parts {
  Parts(const Json& json, const std::string& where)
      : normalizer(Field(json, "normalizer"), where + ": normalizer"),
        pre_tokenizer(Field(json, "pre_tokenizer"), where + ": pre_tokenizer"),
        bpe(Field(json, "model"), pre_tokenizer.byte_level(), where),
        added(Field(json, "added_tokens"), bpe, normalizer, where),
        post_processor(Field(json, "post_processor"), where + ": post_processor"),
        decoder(Field(json, "decoder"), where + ": decoder") {
    post_processor.CheckIds(std::max(bpe.id_limit(), added.id_limit()));
  }

  static const Json& Field(const Json& json, const char* key) {
    static const Json null;
    const auto it = json.find(key);
    return it == json.end() ? null : *it;
  }

  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  Bpe bpe;
  AddedTokens added;
  PostProcessor post_processor;
  Decoder decoder;
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
      parts_.bpe.Encode(view.substr(piece.begin, piece.end - piece.begin), &run_);
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

Tokenizer Tokenizer::FromJson(std::string_view tokenizer_json, const std::string& where) {
  const Json json = ParseJson(tokenizer_json, where);
  if (!json.is_object()) Fail(ErrorCode::kCorruptFile, "{}: expected a JSON object", where);
  return Tokenizer(std::make_unique<const Parts>(json, where));
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
    const std::string* added = parts_->added.TextOf(id);
    const std::string& token = added ? *added : parts_->bpe.IdToToken(id);
    if (!token.empty()) tokens.push_back(token);
  }
  return parts_->decoder.Decode(std::move(tokens));
}

int32_t Tokenizer::VocabSize() const {
  return std::max(parts_->bpe.id_limit(), parts_->added.id_limit());
}

std::optional<int32_t> Tokenizer::TokenToId(std::string_view token) const {
  const auto added = parts_->added.TokenToId(token);
  return added ? added : parts_->bpe.TokenToId(token);
}

std::string Tokenizer::IdToToken(int32_t id) const {
  const std::string* added = parts_->added.IdToToken(id);
  return added ? *added : parts_->bpe.IdToToken(id);
}

bool Tokenizer::IsSpecial(int32_t id) const { return parts_->added.IsSpecial(id); }

}  // namespace lorikeet
