#include "tokenizer/normalizer.h"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include "core/error.h"
#include "core/json_fields.h"
#include "core/utf8.h"
#include "tokenizer/base64.h"
#include "tokenizer/charsmap.h"
#include "tokenizer/digit_groups.h"
#include "tokenizer/regex.h"
#include "tokenizer/unicode_newer.h"

namespace lorikeet {
namespace {

const utf8proc_property_t& Property(uint32_t code) {
  return *utf8proc_get_property(static_cast<utf8proc_int32_t>(code));
}

// Whether no normal form joins `code` to the characters before it. False when in doubt.
bool StartsSegment(uint32_t code) {
  if (code < 0x300) return true;
  const utf8proc_property_t& property = Property(code);
  const bool mark =
      property.category >= UTF8PROC_CATEGORY_MN && property.category <= UTF8PROC_CATEGORY_ME;
  const bool jamo = (code >= 0x1160 && code <= 0x11FF) || (code >= 0x3131 && code <= 0x318E) ||
                    (code >= 0xFFA0 && code <= 0xFFDC);
  const bool halfwidth_voice_mark = code == 0xFF9E || code == 0xFF9F;
  return (property.combining_class == 0 && !mark && !jamo && !halfwidth_voice_mark) ||
         IsUnknownToNormalForms(code);
}

// Whether every normal form in `options` leaves the lone character `code` as it is.
bool IsStable(uint32_t code, int options) {
  const bool composed_syllable = code >= 0xAC00 && code <= 0xD7A3;
  if (composed_syllable) return options & UTF8PROC_COMPOSE;
  return Property(code).decomp_seqindex == UINT16_MAX;
}

std::string NormalForm(std::string_view text, int options) {
  utf8proc_uint8_t* out = nullptr;
  const utf8proc_ssize_t size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                             static_cast<utf8proc_ssize_t>(text.size()), &out,
                                             static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owner(out, std::free);
  if (size < 0) Fail(ErrorCode::kOutOfMemory, "text: {}", utf8proc_errmsg(size));
  return std::string(reinterpret_cast<const char*>(out), size);
}

// Length of the text before the first character that a normal form could change: all characters
// below U+0080, or U+0300 for NFC, are unchanged.
size_t UnaffectedPrefix(std::string_view text, int options) {
  const bool nfc = (options & UTF8PROC_COMPOSE) && !(options & UTF8PROC_COMPAT);
  const uint8_t first_affected = nfc ? 0xCC : 0x80;
  size_t i = 0;
  while (i < text.size() && static_cast<uint8_t>(text[i]) < first_affected) ++i;
  return i;
}

// Works segment by segment, so that origins stay fine-grained: each byte of a changed segment has
// the whole segment as its origin.
void ApplyNormalForm(int options, AlignedText* text) {
  const std::string_view view = text->view();
  if (UnaffectedPrefix(view, options) == view.size()) return;
  Rewriter out(text);
  bool changed = false;
  for (size_t begin = 0, length; begin < view.size();) {
    const uint32_t first = DecodeUtf8(view, begin, &length);
    size_t end = begin + length;
    const bool unknown = IsUnknownToNormalForms(first);
    while (!unknown && end < view.size() && !StartsSegment(DecodeUtf8(view, end, &length))) {
      end += length;
    }
    DecodeUtf8(view, begin, &length);
    const Span span{static_cast<uint32_t>(begin), static_cast<uint32_t>(end)};
    const std::string_view segment = view.substr(begin, end - begin);
    begin = end;
    const bool alone = segment.size() == length;
    if (unknown || (alone && (first < 0x80 || IsStable(first, options)))) {
      out.Copy(span.begin, span.end);
      continue;
    }
    const std::string normal = NormalForm(segment, options);
    if (normal == segment) {
      out.Copy(span.begin, span.end);
    } else {
      out.Put(normal, span);
      changed = true;
    }
  }
  if (changed) out.Commit();
}

void Lowercase(AlignedText* text) {
  const std::string_view view = text->view();
  Rewriter out(text);
  std::string lower;
  for (size_t i = 0, length; i < view.size(); i += length) {
    const uint32_t code = DecodeUtf8(view, i, &length);
    lower.clear();
    if (code == 0x130) {  // the one character whose lower case is two
      lower = "i\xCC\x87";
    } else {
      AppendUtf8(utf8proc_tolower(static_cast<utf8proc_int32_t>(code)), &lower);
    }
    out.Put(lower, {static_cast<uint32_t>(i), static_cast<uint32_t>(i + length)});
  }
  out.Commit();
}

void Strip(bool left, bool right, AlignedText* text) {
  const std::string_view view = text->view();
  size_t begin = 0, end = view.size(), length;
  while (left && begin < end && IsWhiteSpace(DecodeUtf8(view, begin, &length))) begin += length;
  while (right && end > begin) {
    const size_t last = PreviousChar(view, end);
    if (!IsWhiteSpace(DecodeUtf8(view, last, &length))) break;
    end = last;
  }
  if (begin == 0 && end == view.size()) return;
  Rewriter out(text);
  out.Copy(static_cast<uint32_t>(begin), static_cast<uint32_t>(end));
  out.Commit();
}

// The origin of the prefix is the first character.
void Prepend(const std::string& prefix, AlignedText* text) {
  const std::string_view view = text->view();
  if (view.empty()) return;
  size_t length;
  DecodeUtf8(view, 0, &length);
  Rewriter out(text);
  out.Put(prefix, {0, static_cast<uint32_t>(length)});
  out.Copy(0, static_cast<uint32_t>(view.size()));
  out.Commit();
}

// The origin of a replacement is the last character of the text that it replaces.
void Replace(const FindMatches& find, const std::string& content, AlignedText* text) {
  std::vector<Span> matches;
  const std::string_view view = text->view();
  find(view, &matches);
  if (matches.empty()) return;
  Rewriter out(text);
  uint32_t done = 0;
  for (const Span& match : matches) {
    out.Copy(done, match.begin);
    const auto last = match.end > 0 ? static_cast<uint32_t>(PreviousChar(view, match.end)) : 0;
    out.Put(content, {last, match.end});
    done = match.end;
  }
  out.Copy(done, static_cast<uint32_t>(view.size()));
  out.Commit();
}

int NormalFormOptions(const std::string& type) {
  if (type == "NFC") return UTF8PROC_STABLE | UTF8PROC_COMPOSE;
  if (type == "NFD") return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
  if (type == "NFKC") return UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
  if (type == "NFKD") return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
  return 0;
}

}  // namespace

FindMatches ParsePattern(const Json& pattern, const std::string& where) {
  const JsonFields fields(pattern, where);
  if (fields.Has("Regex")) {
    if (FindMatches find = DigitGroupsOf(fields.String("Regex"))) return find;
    return [regex = Regex(fields.String("Regex"), where)](std::string_view text,
                                                          std::vector<Span>* matches) {
      if (!text.empty()) regex.FindAll(text, matches);
    };
  }
  return [literal = fields.String("String")](std::string_view text, std::vector<Span>* matches) {
    if (literal.empty()) return;
    for (size_t at = text.find(literal); at != text.npos;
         at = text.find(literal, at + literal.size())) {
      matches->push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(at + literal.size())});
    }
  };
}

Normalizer::Normalizer(const Json& json, const std::string& where) { Parse(json, where, 0); }

void Normalizer::Parse(const Json& json, const std::string& where, int depth) {
  if (json.is_null()) return;
  const JsonFields fields(json, where);
  if (depth > kMaxSequenceDepth) Fail(ErrorCode::kUnsupported, "{}: nested too deeply", where);
  const std::string type = fields.String("type");
  if (type == "Sequence") {
    for (const Json& step : fields.Array("normalizers")) Parse(step, where, depth + 1);
  } else if (const int options = NormalFormOptions(type)) {
    steps_.push_back([options](AlignedText* text) { ApplyNormalForm(options, text); });
  } else if (type == "Lowercase") {
    steps_.push_back(Lowercase);
  } else if (type == "Strip") {
    const bool left = fields.Bool("strip_left", true), right = fields.Bool("strip_right", true);
    steps_.push_back([left, right](AlignedText* text) { Strip(left, right, text); });
  } else if (type == "Prepend") {
    const std::string prefix = fields.String("prepend");
    steps_.push_back([prefix](AlignedText* text) { Prepend(prefix, text); });
  } else if (type == "Replace") {
    const FindMatches find = ParsePattern(fields.At("pattern"), fields.Where("pattern"));
    const std::string content = fields.String("content");
    steps_.push_back([find, content](AlignedText* text) { Replace(find, content, text); });
  } else if (type == "Precompiled") {
    ParsePrecompiled(fields);
  } else {
    Fail(ErrorCode::kUnsupported, "{}: normalizer {} is not supported", where, type);
  }
}

// "longest_match" is ours: the map is applied as SentencePiece does, not as `tokenizers` does.
void Normalizer::ParsePrecompiled(const JsonFields& fields) {
  const auto blob = DecodeBase64(fields.String("precompiled_charsmap", ""));
  if (!blob) fields.Expected("precompiled_charsmap", "Base64");
  if (blob->empty()) return;
  const auto map = std::make_shared<const Charsmap>(*blob, fields.where());
  const bool longest = fields.Bool("longest_match", false);
  steps_.push_back([map, longest](AlignedText* text) {
    longest ? map->ReplaceLongest(text) : map->ReplaceGraphemes(text);
  });
}

void Normalizer::Apply(AlignedText* text) const {
  for (const auto& step : steps_) step(text);
}

}  // namespace lorikeet
