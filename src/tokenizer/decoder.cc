#include "tokenizer/decoder.h"

#include <cctype>
#include <utility>

#include "core/error.h"
#include "core/json_fields.h"
#include "core/utf8.h"
#include "tokenizer/bpe.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/unicode.h"

namespace lorikeet {
namespace {

using Tokens = std::vector<std::string>;

std::string Concatenate(const Tokens& tokens) {
  std::string all;
  for (const std::string& token : tokens) all += token;
  return all;
}

void Fuse(Tokens* tokens) { *tokens = {Concatenate(*tokens)}; }

// Tokens in the byte alphabet become their bytes; added tokens, which are not in it, stay.
void ByteLevel(Tokens* tokens) {
  std::string bytes;
  for (const std::string& token : *tokens) bytes += BytesOfToken(token).value_or(token);
  *tokens = {ToValidUtf8(bytes)};
}

int ByteOfToken(const std::string& token) {
  const bool shape = token.size() == 6 && token.starts_with("<0x") && token[5] == '>' &&
                     std::isxdigit(static_cast<unsigned char>(token[3])) &&
                     std::isxdigit(static_cast<unsigned char>(token[4]));
  return shape ? std::stoi(token.substr(3, 2), nullptr, 16) : -1;
}

// A run of <0xNN> becomes its text, or one U+FFFD a byte if it is not valid UTF-8 as a whole.
void ByteFallback(Tokens* tokens) {
  Tokens out;
  std::string run;
  const auto flush = [&] {
    if (run.empty()) return;
    if (IsValidUtf8(run)) {
      out.push_back(run);
    } else {
      out.insert(out.end(), run.size(), "\xEF\xBF\xBD");
    }
    run.clear();
  };
  for (std::string& token : *tokens) {
    const int byte = ByteOfToken(token);
    if (byte >= 0) {
      run.push_back(static_cast<char>(byte));
    } else {
      flush();
      out.push_back(std::move(token));
    }
  }
  flush();
  *tokens = std::move(out);
}

// Marks become spaces; marks of the first token are removed (unless `keep_first`).
void Metaspace(const std::string& mark, bool keep_first, Tokens* tokens) {
  for (size_t t = 0; t < tokens->size(); ++t) {
    std::string& token = (*tokens)[t];
    const std::string space = t == 0 && !keep_first ? "" : " ";
    for (size_t at = token.find(mark); at != token.npos; at = token.find(mark, at + space.size())) {
      token.replace(at, mark.size(), space);
    }
  }
}

// Removes up to `start` copies of `content` from the front of each token, up to `stop` from its
// back.
void Strip(const std::string& content, int64_t start, int64_t stop, Tokens* tokens) {
  for (std::string& token : *tokens) {
    size_t begin = 0, end = token.size();
    for (int64_t n = 0; n < start && token.compare(begin, content.size(), content) == 0; ++n) {
      begin += content.size();
    }
    for (int64_t n = 0; n < stop && end >= begin + content.size() &&
                        token.compare(end - content.size(), content.size(), content) == 0;
         ++n) {
      end -= content.size();
    }
    token = token.substr(begin, end - begin);
  }
}

void Replace(const FindMatches& find, const std::string& content, Tokens* tokens) {
  for (std::string& token : *tokens) {
    AlignedText text(token, 0, false);
    std::vector<Span> matches;
    find(text.view(), &matches);
    if (matches.empty()) continue;
    std::string out;
    size_t done = 0;
    for (const Span& match : matches) {
      out.append(token, done, match.begin - done).append(content);
      done = match.end;
    }
    token = out.append(token, done);
  }
}

}  // namespace

Decoder::Decoder(const Json& json, const std::string& where) { Parse(json, where, 0); }

void Decoder::Parse(const Json& json, const std::string& where, int depth) {
  if (json.is_null()) return;
  const JsonFields fields(json, where);
  if (depth > kMaxSequenceDepth) Fail(ErrorCode::kUnsupported, "{}: nested too deeply", where);
  const std::string type = fields.String("type");
  if (type == "Sequence") {
    for (const Json& step : fields.Array("decoders")) Parse(step, where, depth + 1);
    if (steps_.empty()) steps_.push_back([](Tokens*) {});  // an empty sequence joins without spaces
  } else if (type == "ByteLevel") {
    byte_level_ = true;
    steps_.push_back(ByteLevel);
  } else if (type == "ByteFallback") {
    byte_fallback_ = true;
    steps_.push_back(ByteFallback);
  } else if (type == "Fuse") {
    steps_.push_back(Fuse);
  } else if (type == "Metaspace") {
    const std::string mark = fields.String("replacement", "\xE2\x96\x81");
    if (mark.empty()) fields.Expected("replacement", "a character");
    const bool never = fields.Has("prepend_scheme") ? fields.String("prepend_scheme") == "never"
                                                    : !fields.Bool("add_prefix_space", true);
    steps_.push_back([mark, never](Tokens* tokens) { Metaspace(mark, never, tokens); });
  } else if (type == "Strip") {
    const std::string content = fields.String("content");
    if (content.empty()) fields.Expected("content", "a character");
    const int64_t start = fields.Int("start", 0, INT32_MAX),
                  stop = fields.Int("stop", 0, INT32_MAX);
    steps_.push_back([=](Tokens* tokens) { Strip(content, start, stop, tokens); });
  } else if (type == "Replace") {
    const FindMatches find = ParsePattern(fields.At("pattern"), fields.Where("pattern"));
    const std::string content = fields.String("content");
    steps_.push_back([=](Tokens* tokens) { Replace(find, content, tokens); });
  } else {
    Fail(ErrorCode::kUnsupported, "{}: decoder {} is not supported", where, type);
  }
}

std::string Decoder::Decode(std::vector<std::string> tokens) const {
  if (!steps_.empty()) {
    for (const auto& step : steps_) step(&tokens);
    return Concatenate(tokens);
  }
  std::string all;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0) all += ' ';
    all += tokens[i];
  }
  return all;
}

std::string Decoder::BytesOf(const std::string& token) const {
  if (byte_level_) return BytesOfToken(token).value_or(token);
  const int byte = byte_fallback_ ? ByteOfToken(token) : -1;
  if (byte >= 0) return std::string(1, static_cast<char>(byte));
  const std::string first = "a";
  return Decode({first, token}).substr(Decode({first}).size());
}

}  // namespace lorikeet
