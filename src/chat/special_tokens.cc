#include "chat/special_tokens.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <unordered_set>

#include "core/error.h"

namespace lorikeet {
namespace {

// Named tokens, in the order in which new ones get ids; others follow as a file names them.
constexpr std::array<std::string_view, 7> kNamed = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};
// Those that must have a row of the model already: they begin and end its texts.
constexpr std::array<std::string_view, 4> kNeeded = {"bos_token", "eos_token", "unk_token",
                                                     "pad_token"};

template <class List>
bool Contains(const List& list, std::string_view key) {
  return std::find(list.begin(), list.end(), key) != list.end();
}

// A key of a file and the token that it names.
struct NamedToken {
  std::string key;
  AddedToken token;
};

AddedToken TokenOf(const Json& value, const JsonFields& fields, const std::string& key) {
  AddedToken token;
  token.where = fields.Where(key);
  token.normalized = false;
  token.special = true;
  if (value.is_string()) {
    token.content = value.get<std::string>();
    return token;
  }
  if (!value.is_object()) fields.Expected(key, "a token: a string or an object with 'content'");
  token.Read(JsonFields(value, fields.Where(key)), /*special_by_default=*/true);
  return token;
}

// Keys of the object, and of an object "extra_special_tokens" in it, in the order of the file.
std::vector<std::string> KeysInOrder(const std::string& text) {
  std::vector<std::string> keys;
  std::string outer;
  const auto note = [&](int depth, Json::parse_event_t event, Json& value) {
    if (event != Json::parse_event_t::key) return true;
    if (depth == 1) outer = value.get<std::string>();
    if (depth == 1 || (depth == 2 && outer == "extra_special_tokens")) {
      keys.push_back(value.get<std::string>());
    }
    return true;
  };
  if (!text.empty()) const Json parsed = Json::parse(text, note);
  return keys;
}

class Reader {
 public:
  explicit Reader(const SpecialTokenFiles& files)
      : files_(files),
        config_json_(Parse(files.config, "tokenizer_config.json")),
        map_json_(Parse(files.map, "special_tokens_map.json")),
        added_json_(Parse(files.added_tokens, "added_tokens.json")),
        config_(config_json_, files.where + ": tokenizer_config.json"),
        map_(map_json_, files.where + ": special_tokens_map.json"),
        has_decoder_(config_.Has("added_tokens_decoder")) {}

  SpecialTokens Read() {
    for (const std::string_view key : kNamed) ReadNamed(std::string(key));
    ReadOthers(config_, files_.config);
    if (!has_decoder_) ReadOthers(map_, files_.map);
    ReadExtra();
    if (has_decoder_) {
      ReadDecoder();
    } else {
      ReadAddedTokensFile();
    }
    return Collect();
  }

 private:
  Json Parse(const std::string& text, const char* name) const {
    const std::string where = files_.where + ": " + name;
    Json json = text.empty() ? Json::object() : ParseJson(text, where);
    if (!json.is_object()) Fail(ErrorCode::kCorruptFile, "{}: expected a JSON object", where);
    return json;
  }

  void ReadNamed(const std::string& key) {
    const bool in_config = config_.Has(key), in_map = map_.Has(key);
    if (!in_config && !in_map) return;
    if (has_decoder_ && !in_config && !Contains(kNeeded, key)) return;
    const JsonFields& fields = in_map && (!has_decoder_ || !in_config) ? map_ : config_;
    AddedToken token = TokenOf(fields.At(key), fields, key);
    token.special = true;
    token.must_exist = Contains(kNeeded, key);
    if (!token.content.empty()) named_.push_back({key, std::move(token)});
  }

  // "image_token" and the like, and the members of an object "extra_special_tokens".
  void ReadOthers(const JsonFields& fields, const std::string& text) {
    const JsonFields extra(
        fields.At("extra_special_tokens").is_object() ? fields.At("extra_special_tokens") : empty_,
        fields.Where("extra_special_tokens"));
    for (const std::string& key : KeysInOrder(text)) {
      const JsonFields& holder = extra.Has(key) ? extra : fields;
      const Json& value = holder.At(key);
      const bool named = &holder == &extra || (key.ends_with("_token") && !Contains(kNamed, key));
      const bool is_token = value.is_string() || (value.is_object() && value.contains("content"));
      if (!named || !is_token) continue;
      AddedToken token = TokenOf(value, holder, key);
      token.special = true;
      if (!token.content.empty()) named_.push_back({key, std::move(token)});
    }
  }

  void AddExtra(const JsonFields& fields, const char* key) {
    const Json& list = fields.At(key);
    if (list.is_null() || list.is_object()) return;
    if (!list.is_array()) fields.Expected(key, "a list of tokens");
    for (const Json& value : list) {
      AddedToken token = TokenOf(value, fields, key);
      if (!token.content.empty()) extra_.push_back(std::move(token));
    }
  }

  void ReadExtra() {
    AddExtra(config_, "extra_special_tokens");
    if (extra_.empty()) AddExtra(config_, "additional_special_tokens");
    if (has_decoder_) return;
    AddExtra(map_, "extra_special_tokens");
    for (const AddedToken& token : extra_) special_.insert(token.content);
    if (extra_.empty()) AddExtra(map_, "additional_special_tokens");
  }

  void ReadDecoder() {
    const std::string where = config_.Where("added_tokens_decoder");
    const JsonFields decoder(config_.At("added_tokens_decoder"), where);
    for (const auto& [key, value] : decoder.json().items()) {
      AddedToken token = TokenOf(value, decoder, key);
      token.special = JsonFields(value, decoder.Where(key)).Bool("special", false);
      token.normalized = JsonFields(value, decoder.Where(key)).Bool("normalized", !token.special);
      const char* end = key.data() + key.size();
      const auto parsed = std::from_chars(key.data(), end, token.id);
      if (parsed.ec != std::errc() || parsed.ptr != end || token.id < 0 || token.id >= INT32_MAX) {
        Fail(ErrorCode::kCorruptFile, "{}: the key '{}' is not an id", where, key);
      }
      token.replaces_flags = true;
      by_id_.push_back(std::move(token));
    }
  }

  void ReadAddedTokensFile() {
    const JsonFields fields(added_json_, files_.where + ": added_tokens.json");
    for (const auto& [content, id] : added_json_.items()) {
      AddedToken token;
      token.content = content;
      token.id = fields.Int(content, 0, INT32_MAX - 1);
      token.where = fields.where();
      const bool named = std::any_of(named_.begin(), named_.end(), [&token](const auto& n) {
        return n.token.content == token.content && Contains(kNamed, n.key);
      });
      token.special = named || special_.contains(content);
      token.normalized = !token.special;
      by_id_.push_back(std::move(token));
    }
  }

  SpecialTokens Collect() {
    std::stable_sort(by_id_.begin(), by_id_.end(),
                     [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
    SpecialTokens result;
    result.tokens = std::move(by_id_);
    std::unordered_set<std::string> named;
    for (const NamedToken& n : named_) named.insert(n.token.content);
    for (AddedToken& token : result.tokens) token.special |= named.contains(token.content);
    for (NamedToken& n : named_) {
      if (n.key == "bos_token") result.bos = n.token.content;
      if (n.key == "eos_token") result.eos = n.token.content;
      if (n.key == "pad_token") result.pad = n.token.content;
      if (n.key == "unk_token") result.unk = n.token.content;
      result.tokens.push_back(std::move(n.token));
    }
    std::move(extra_.begin(), extra_.end(), std::back_inserter(result.tokens));
    return result;
  }

  const SpecialTokenFiles& files_;
  const Json empty_ = Json::object();
  const Json config_json_, map_json_, added_json_;
  const JsonFields config_, map_;
  const bool has_decoder_;
  std::vector<NamedToken> named_;
  std::vector<AddedToken> extra_, by_id_;
  std::unordered_set<std::string> special_;  // what config and map call special, besides the named
};

}  // namespace

SpecialTokens ReadSpecialTokens(const SpecialTokenFiles& files) { return Reader(files).Read(); }

}  // namespace lorikeet
