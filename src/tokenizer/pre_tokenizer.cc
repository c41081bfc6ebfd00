#include "tokenizer/pre_tokenizer.h"

#include <algorithm>

#include "core/error.h"
#include "core/json_fields.h"
#include "core/utf8.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/scanners.h"

namespace lorikeet {
namespace {

enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

Behavior ParseBehavior(const JsonFields& fields, const std::string& when_absent) {
  const std::string name = fields.String("behavior", when_absent);
  if (name == "Removed") return Behavior::kRemoved;
  if (name == "Isolated") return Behavior::kIsolated;
  if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::kMergedWithNext;
  if (name == "Contiguous") return Behavior::kContiguous;
  Fail(ErrorCode::kUnsupported, "{}: unknown behavior {}", fields.where(), name);
}

// A match, or the text between two matches.
struct Part {
  Span span;
  bool match;
};

// Parts that tile [0, size).
std::vector<Part> PartsOf(uint32_t size, const std::vector<Span>& matches, bool invert) {
  std::vector<Part> parts;
  uint32_t done = 0;
  for (const Span& match : matches) {
    if (match.begin > done) parts.push_back({{done, match.begin}, invert});
    parts.push_back({match, !invert});
    done = match.end;
  }
  if (done < size) parts.push_back({{done, size}, invert});
  return parts;
}

// Appends the pieces of the parts according to `behavior`, shifted by `base`.
void Join(std::vector<Part> parts, Behavior behavior, uint32_t base, std::vector<Span>* pieces) {
  const bool backward = behavior == Behavior::kMergedWithNext;
  if (backward) std::reverse(parts.begin(), parts.end());
  std::vector<Span> joined;
  bool previous_match = false;
  for (const Part& part : parts) {
    const bool merge = !joined.empty() && [&] {
      if (behavior == Behavior::kContiguous) return part.match == previous_match;
      if (behavior == Behavior::kMergedWithPrevious || backward) {
        return part.match && !previous_match;
      }
      return false;
    }();
    if (merge) {
      (backward ? joined.back().begin : joined.back().end) =
          backward ? part.span.begin : part.span.end;
    } else if (!(part.match && behavior == Behavior::kRemoved)) {
      joined.push_back(part.span);
    }
    previous_match = part.match;
  }
  if (backward) std::reverse(joined.begin(), joined.end());
  for (const Span& span : joined) {
    if (span.end > span.begin) pieces->push_back({base + span.begin, base + span.end});
  }
}

void SplitPieces(const FindMatches& find, Behavior behavior, bool invert, const AlignedText& text,
                 std::vector<Span>* pieces) {
  std::vector<Span> out, matches;
  for (const Span& piece : *pieces) {
    matches.clear();
    find(text.view().substr(piece.begin, piece.end - piece.begin), &matches);
    Join(PartsOf(piece.end - piece.begin, matches, invert), behavior, piece.begin, &out);
  }
  *pieces = std::move(out);
}

void ScanPieces(Scanner scan, const AlignedText& text, std::vector<Span>* pieces) {
  std::vector<Span> out;
  out.reserve(text.view().size() / 4 + pieces->size());
  for (const Span& piece : *pieces) scan(text.view(), piece, &out);
  *pieces = std::move(out);
}

// Matches are single characters with a property.
FindMatches EachChar(bool (*has_property)(uint32_t)) {
  return [has_property](std::string_view text, std::vector<Span>* matches) {
    for (size_t i = 0, length; i < text.size(); i += length) {
      if (has_property(DecodeUtf8(text, i, &length))) {
        matches->push_back({static_cast<uint32_t>(i), static_cast<uint32_t>(i + length)});
      }
    }
  };
}

// \w+|[^\w\s]+
void FindWords(std::string_view text, std::vector<Span>* matches) {
  const auto kind = [](uint32_t code) { return IsWhiteSpace(code) ? 0 : IsWordChar(code) ? 1 : 2; };
  int previous = 0;
  for (size_t i = 0, length; i < text.size(); i += length) {
    const int k = kind(DecodeUtf8(text, i, &length));
    const auto begin = static_cast<uint32_t>(i), end = static_cast<uint32_t>(i + length);
    if (k != 0 && k == previous) {
      matches->back().end = end;
    } else if (k != 0) {
      matches->push_back({begin, end});
    }
    previous = k;
  }
}

// Inserts `prefix` before the pieces that do not begin with it (with `first_only` only before the
// first one of the original text).
void PrefixPieces(const std::string& prefix, bool first_only, AlignedText* text,
                  std::vector<Span>* pieces) {
  const std::string_view view = text->view();
  const bool at_start = text->at_start();
  Rewriter out(text);
  bool changed = false;
  std::vector<Span> moved;
  for (const Span& piece : *pieces) {
    const uint32_t begin = out.size();
    const bool wanted = !first_only || (at_start && piece.begin == 0);
    if (wanted && !view.substr(piece.begin).starts_with(prefix)) {
      size_t length;
      DecodeUtf8(view, piece.begin, &length);
      out.Put(prefix, {piece.begin, static_cast<uint32_t>(piece.begin + length)});
      changed = true;
    }
    out.Copy(piece.begin, piece.end);
    moved.push_back({begin, out.size()});
  }
  if (!changed) return;
  out.Commit();
  *pieces = std::move(moved);
}

// Replaces ' ' by `mark` within the pieces.
void MarkSpaces(const std::string& mark, AlignedText* text, std::vector<Span>* pieces) {
  const std::string_view view = text->view();
  Rewriter out(text);
  for (Span& piece : *pieces) {
    const uint32_t begin = out.size();
    uint32_t done = piece.begin;
    for (uint32_t i = piece.begin; i < piece.end; ++i) {
      if (view[i] != ' ') continue;
      out.Copy(done, i);
      out.Put(mark, {i, i + 1});
      done = i + 1;
    }
    out.Copy(done, piece.end);
    piece = {begin, out.size()};
  }
  out.Commit();
}

std::function<void(AlignedText*, std::vector<Span>*)> Metaspace(const JsonFields& fields) {
  const std::string mark = fields.String("replacement", "\xE2\x96\x81");
  std::string scheme = fields.Bool("add_prefix_space", true) ? "always" : "never";
  scheme = fields.String("prepend_scheme", scheme);
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    fields.Expected("prepend_scheme", "always, first or never");
  }
  if (mark.empty()) fields.Expected("replacement", "a character");
  const bool split = fields.Bool("split", true);
  const auto find = [mark](std::string_view text, std::vector<Span>* matches) {
    for (size_t at = text.find(mark); at != text.npos; at = text.find(mark, at + mark.size())) {
      matches->push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(at + mark.size())});
    }
  };
  return [mark, scheme, split, find](AlignedText* text, std::vector<Span>* pieces) {
    MarkSpaces(mark, text, pieces);
    if (scheme != "never") PrefixPieces(mark, scheme == "first", text, pieces);
    if (split) SplitPieces(find, Behavior::kMergedWithNext, false, *text, pieces);
  };
}

}  // namespace

PreTokenizer::PreTokenizer(const Json& json, const std::string& where) { Parse(json, where, 0); }

void PreTokenizer::ParseByteLevel(const Json& json, const std::string& where) {
  const JsonFields fields(json, where);
  byte_level_ = true;
  if (fields.Bool("add_prefix_space", true)) {
    steps_.push_back([](AlignedText* text, std::vector<Span>* pieces) {
      PrefixPieces(" ", false, text, pieces);
    });
  }
  if (fields.Bool("use_regex", true)) {
    steps_.push_back(
        [](AlignedText* text, std::vector<Span>* pieces) { ScanPieces(ScanGpt2, *text, pieces); });
  }
}

void PreTokenizer::Parse(const Json& json, const std::string& where, int depth) {
  if (json.is_null()) return;
  const JsonFields fields(json, where);
  if (depth > kMaxSequenceDepth) Fail(ErrorCode::kUnsupported, "{}: nested too deeply", where);
  const std::string type = fields.String("type");
  const auto split = [this](const FindMatches& find, Behavior behavior, bool invert) {
    steps_.push_back([=](AlignedText* text, std::vector<Span>* pieces) {
      SplitPieces(find, behavior, invert, *text, pieces);
    });
  };
  if (byte_level_) {
    Fail(ErrorCode::kUnsupported, "{}: a step ({}) after ByteLevel is not supported", where, type);
  }
  if (type == "Sequence") {
    for (const Json& step : fields.Array("pretokenizers")) Parse(step, where, depth + 1);
  } else if (type == "ByteLevel") {
    ParseByteLevel(json, where);
  } else if (type == "Split") {
    const Behavior behavior = ParseBehavior(fields, "");
    const bool invert = fields.Bool("invert", false);
    const FindMatches find = ParsePattern(fields.At("pattern"), fields.Where("pattern"));
    const JsonFields pattern(fields.At("pattern"), fields.Where("pattern"));
    const Scanner scan = ScannerOf(pattern.String("Regex", ""));
    // The scanners' patterns match every character, so there is no text between matches.
    if (scan && (behavior == Behavior::kIsolated || (behavior == Behavior::kRemoved && invert))) {
      steps_.push_back([scan](AlignedText* text, std::vector<Span>* pieces) {
        ScanPieces(scan, *text, pieces);
      });
    } else {
      split(find, behavior, invert);
    }
  } else if (type == "Digits") {
    const bool individual = fields.Bool("individual_digits", false);
    split(EachChar(IsNumeric), individual ? Behavior::kIsolated : Behavior::kContiguous, false);
  } else if (type == "Punctuation") {
    split(EachChar(IsPunctuation), ParseBehavior(fields, "Isolated"), false);
  } else if (type == "Whitespace") {
    split(FindWords, Behavior::kRemoved, true);
  } else if (type == "WhitespaceSplit") {
    split(EachChar(IsWhiteSpace), Behavior::kRemoved, false);
  } else if (type == "Metaspace") {
    steps_.push_back(Metaspace(fields));
  } else {
    Fail(ErrorCode::kUnsupported, "{}: pre-tokenizer {} is not supported", where, type);
  }
}

void PreTokenizer::Apply(AlignedText* text, std::vector<Span>* pieces) const {
  pieces->clear();
  if (text->view().empty()) return;
  pieces->push_back({0, static_cast<uint32_t>(text->view().size())});
  for (const Step& step : steps_) step(text, pieces);
}

}  // namespace lorikeet
