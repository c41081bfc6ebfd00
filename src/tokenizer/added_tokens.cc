#include "tokenizer/added_tokens.h"

#include <algorithm>

#include "core/error.h"
#include "core/json_fields.h"
#include "core/utf8.h"

namespace lorikeet {

void AddedTokens::Trie::Insert(std::string_view token, int32_t index) {
  if (end.empty()) end.push_back(-1);
  uint64_t node = 0;
  first[static_cast<uint8_t>(token[0])] = true;
  for (const char c : token) {
    const uint64_t edge = node << 8 | static_cast<uint8_t>(c);
    uint64_t to = next.Find(edge);
    if (to == FlatMap::kNone) {
      to = end.size();
      end.push_back(-1);
      next.Set(edge, to);
    }
    node = to;
  }
  if (end[node] < 0) end[node] = index;  // the first of equal ones wins
}

int32_t AddedTokens::Trie::Longest(std::string_view text, size_t at, size_t* length) const {
  int32_t best = -1;
  uint64_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    node = next.Find(node << 8 | static_cast<uint8_t>(text[i]));
    if (node == FlatMap::kNone) break;
    if (end[node] >= 0) {
      best = end[node];
      *length = i + 1 - at;
    }
  }
  return best;
}

AddedTokens::AddedTokens(const Json& list, std::span<const AddedToken> more,
                         const SubwordModel& model, const Normalizer& normalizer,
                         const std::string& where)
    : next_id_(model.token_count()) {
  Read(list, model, where);
  for (const AddedToken& token : more) Add(token, model);
  texts_.resize(tokens_.size());
  for (const bool special : {true, false}) {  // of equal tokens the special ones come first
    for (size_t i = 0; i < tokens_.size(); ++i) {
      const AddedToken& token = tokens_[i];
      if (token.special != special) continue;
      texts_[i] = token.content;
      if (!token.normalized) {
        raw_.Insert(token.content, static_cast<int32_t>(i));
        continue;
      }
      AlignedText content(token.content, 0, false);
      normalizer.Apply(&content);
      texts_[i] = std::string(content.view());
      if (!texts_[i].empty()) normalized_.Insert(texts_[i], static_cast<int32_t>(i));
    }
  }
}

void AddedToken::Read(const JsonFields& fields, bool special_by_default) {
  content = fields.String("content");
  single_word = fields.Bool("single_word", false);
  lstrip = fields.Bool("lstrip", false);
  rstrip = fields.Bool("rstrip", false);
  special = fields.Bool("special", special_by_default);
  normalized = fields.Bool("normalized", !special);
}

std::string AddedToken::Flags() const {
  std::string flags;
  const auto add = [&flags](bool set, const char* name) {
    if (set) flags += (flags.empty() ? "" : " ") + std::string(name);
  };
  add(special, "special");
  add(lstrip, "lstrip");
  add(rstrip, "rstrip");
  add(normalized, "normalized");
  add(single_word, "single_word");
  return flags;
}

void AddedTokens::Read(const Json& list, const SubwordModel& model, const std::string& where) {
  if (list.is_null()) return;
  if (!list.is_array()) Fail(ErrorCode::kCorruptFile, "{}: added_tokens: expected a list", where);
  for (size_t i = 0; i < list.size(); ++i) {
    const JsonFields fields(list[i], fmt::format("{}: added_tokens[{}]", where, i));
    AddedToken token;
    token.Read(fields, /*special_by_default=*/false);
    token.id = fields.Int("id", 0, INT32_MAX);
    token.where = fields.where();
    if (!by_content_.contains(token.content)) Add(std::move(token), model);
  }
}

void AddedTokens::Add(AddedToken token, const SubwordModel& model) {
  if (token.content.empty()) return;
  const auto earlier = by_content_.find(token.content);
  const bool is_new = earlier == by_content_.end();
  const std::optional<int32_t> known =
      is_new ? model.TokenToId(token.content) : TokenToId(token.content);
  if (!known && token.must_exist) return;
  const auto id = static_cast<int32_t>(known.value_or(next_id_));
  if (token.id >= 0 && token.id != id) {
    Fail(ErrorCode::kCorruptFile, "{}: '{}' has id {}, but {} is {}; correct the id", token.where,
         token.content, token.id, known ? "its id in the vocabulary" : "the next free id", id);
  }
  token.id = id;
  if (!is_new) {
    if (token.replaces_flags) tokens_[earlier->second] = std::move(token);
    return;
  }
  if (!known) next_id_ = std::max(next_id_, id + 1);
  id_limit_ = std::max(id_limit_, id + 1);
  by_id_[id] = static_cast<int32_t>(tokens_.size());
  by_content_[token.content] = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(std::move(token));
}

bool AddedTokens::StandsAlone(std::string_view text, size_t begin, size_t end) {
  size_t length;
  const bool before = begin > 0 && IsWordChar(DecodeUtf8(text, PreviousChar(text, begin), &length));
  const bool after = end < text.size() && IsWordChar(DecodeUtf8(text, end, &length));
  return !before && !after;
}

void AddedTokens::Split(std::string_view text, bool normalized, const Found& found) const {
  const Trie& trie = normalized ? normalized_ : raw_;
  size_t done = 0;  // end of the reported text
  for (size_t i = 0; i < text.size() && !trie.end.empty();) {
    size_t length = 0;
    const int32_t index =
        trie.first[static_cast<uint8_t>(text[i])] ? trie.Longest(text, i, &length) : -1;
    if (index < 0) {
      ++i;
      continue;
    }
    const AddedToken& token = tokens_[index];
    size_t begin = i, end = i + length, space;
    i = end;
    if (token.single_word && !StandsAlone(text, begin, end)) continue;
    while (token.lstrip && begin > done) {
      const size_t previous = PreviousChar(text, begin);
      if (!IsWhiteSpace(DecodeUtf8(text, previous, &space))) break;
      begin = previous;
    }
    while (token.rstrip && end < text.size() && IsWhiteSpace(DecodeUtf8(text, end, &space))) {
      end += space;
    }
    begin = std::max(begin, done);
    if (begin > done) found({static_cast<uint32_t>(done), static_cast<uint32_t>(begin)}, -1);
    found({static_cast<uint32_t>(begin), static_cast<uint32_t>(end)},
          static_cast<int32_t>(token.id));
    done = std::max(done, end);
  }
  if (done < text.size()) {
    found({static_cast<uint32_t>(done), static_cast<uint32_t>(text.size())}, -1);
  }
}

std::optional<int32_t> AddedTokens::TokenToId(std::string_view token) const {
  const auto it = by_content_.find(std::string(token));
  if (it == by_content_.end()) return std::nullopt;
  return static_cast<int32_t>(tokens_[it->second].id);
}

const std::string* AddedTokens::IdToToken(int32_t id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : &tokens_[it->second].content;
}

const std::string* AddedTokens::TextOf(int32_t id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : &texts_[it->second];
}

bool AddedTokens::IsSpecial(int32_t id) const {
  const auto it = by_id_.find(id);
  return it != by_id_.end() && tokens_[it->second].special;
}

}  // namespace lorikeet
