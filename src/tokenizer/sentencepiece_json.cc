#include "tokenizer/sentencepiece_json.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/utf8.h"
#include "tokenizer/base64.h"

namespace lorikeet {
namespace {

constexpr size_t kMaxPieceBytes = 1 << 12;  // merges are reconstructed from each cut of a piece
constexpr char kMark[] = "\xE2\x96\x81";

struct Merge {
  uint32_t left, right;
  float score;
  uint32_t left_chars, right_chars;
};

// Appends the cuts of a piece, by the ids of the parts.
void AppendCuts(std::string_view text, float score, const PieceIds& ids,
                std::vector<Merge>* merges) {
  const size_t first = merges->size();
  const auto chars = static_cast<uint32_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
  uint32_t left_chars = 0;
  for (size_t cut = 0, length; cut < text.size(); cut += length, ++left_chars) {
    DecodeUtf8(text, cut, &length);
    if (cut == 0) continue;
    const auto left = ids.find(text.substr(0, cut)), right = ids.find(text.substr(cut));
    if (left == ids.end() || right == ids.end()) continue;
    merges->push_back({left->second, right->second, score, left_chars, chars - left_chars});
  }
  std::sort(merges->begin() + static_cast<std::ptrdiff_t>(first), merges->end(),
            [](const Merge& a, const Merge& b) {
              return std::pair(a.left, a.right) < std::pair(b.left, b.right);
            });
}

OrderedJson Typed(const char* type) { return {{"type", type}}; }

OrderedJson Replace(const char* kind, const char* pattern, const char* content) {
  return {{"type", "Replace"}, {"pattern", {{kind, pattern}}}, {"content", content}};
}

OrderedJson Normalizers(const SentencePieceRules& rules) {
  using Prefix = SentencePieceRules::Prefix;
  OrderedJson steps = OrderedJson::array();
  if (!rules.charsmap.empty()) {
    steps.push_back(
        {{"type", "Precompiled"}, {"precompiled_charsmap", EncodeBase64(rules.charsmap)}});
    if (rules.charsmap_longest_match) steps.back()["longest_match"] = true;
  }
  if (rules.remove_extra_spaces) {
    // After a special token a space stays where the prefix is put at the start alone.
    const bool left = rules.prefix != Prefix::kMetaspaceFirst;
    steps.push_back({{"type", "Strip"}, {"strip_left", left}, {"strip_right", true}});
    steps.push_back(Replace("Regex", " {2,}", " "));
  }
  if (rules.prefix != Prefix::kEachText) return steps;
  if (rules.space_prefix) steps.push_back({{"type", "Prepend"}, {"prepend", kMark}});
  steps.push_back(Replace("String", " ", kMark));
  return steps;
}

}  // namespace

OrderedJson MergesFromScores(const ScoredPieces& pieces, const PieceIds& ids, Ties ties) {
  std::vector<Merge> merges;
  for (size_t id = 0; id < pieces.texts.size(); ++id) {
    const std::string& text = pieces.texts[id];
    if (pieces.TypeOf(id) != kNormalPiece || text.size() > kMaxPieceBytes) continue;
    AppendCuts(text, pieces.scores[id], ids, &merges);
  }
  std::stable_sort(merges.begin(), merges.end(), [](const Merge& a, const Merge& b) {
    if (a.score != b.score) return a.score > b.score;
    return std::pair(a.left_chars, a.right_chars) > std::pair(b.left_chars, b.right_chars);
  });
  OrderedJson list = OrderedJson::array();
  size_t rank = 0;
  for (size_t i = 0; i < merges.size(); ++i) {
    const Merge& m = merges[i];
    list.push_back(OrderedJson::array({pieces.texts[m.left], pieces.texts[m.right]}));
    if (ties == Ties::kByLength) continue;
    if (m.score != merges[rank].score) rank = i;
    list.back().push_back(rank);
  }
  return list;
}

std::string UnigramModelJson(std::span<const std::string> names, std::span<const float> scores,
                             int64_t unk_id, bool byte_fallback) {
  OrderedJson vocab = OrderedJson::array();
  for (size_t id = 0; id < names.size(); ++id) {
    vocab.push_back(OrderedJson::array({names[id], static_cast<double>(scores[id])}));
  }
  const OrderedJson unk = unk_id >= 0 ? OrderedJson(unk_id) : OrderedJson();
  return fmt::format(R"({{"type":"Unigram","unk_id":{},"vocab":{},"byte_fallback":{}}})",
                     unk.dump(), vocab.dump(), byte_fallback);
}

std::string BpeModelJson(std::span<const std::string> names, const BpeFlags& flags,
                         const OrderedJson& merges) {
  // Json, not OrderedJson: an ordered object searches its keys one by one.
  Json vocab = Json::object();
  for (size_t id = 0; id < names.size(); ++id) vocab[names[id]] = id;
  return fmt::format(
      R"({{"type":"BPE","dropout":null,"unk_token":{},"continuing_subword_prefix":null,)"
      R"("end_of_word_suffix":null,"fuse_unk":{},"byte_fallback":{},"ignore_merges":{},)"
      R"("vocab":{},"merges":{}}})",
      flags.unk_token.dump(), flags.fuse_unk, flags.byte_fallback, flags.ignore_merges,
      vocab.dump(), merges.dump());
}

void AddSentencePieceSteps(const SentencePieceRules& rules, OrderedJson* json) {
  using Prefix = SentencePieceRules::Prefix;
  OrderedJson normalizers = Normalizers(rules), decoders = OrderedJson::array();
  decoders.push_back(Replace("String", kMark, " "));
  decoders.push_back(Typed("ByteFallback"));
  decoders.push_back(Typed("Fuse"));
  if (rules.space_prefix) {
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  (*json)["normalizer"] =
      normalizers.empty()
          ? OrderedJson()
          : OrderedJson{{"type", "Sequence"}, {"normalizers", std::move(normalizers)}};
  (*json)["pre_tokenizer"] = nullptr;
  if (rules.prefix != Prefix::kEachText) {
    const char* scheme = !rules.space_prefix                        ? "never"
                         : rules.prefix == Prefix::kMetaspaceAlways ? "always"
                                                                    : "first";
    (*json)["pre_tokenizer"] = {{"type", "Metaspace"},
                                {"replacement", kMark},
                                {"prepend_scheme", scheme},
                                {"split", false}};
  }
  (*json)["decoder"] = {{"type", "Sequence"}, {"decoders", std::move(decoders)}};
}

OrderedJson TemplateJson(const NamedId& bos, const NamedId& eos) {
  if (!bos && !eos) return nullptr;
  OrderedJson single = OrderedJson::array(), pair = OrderedJson::array();
  OrderedJson tokens = OrderedJson::object();
  const auto special = [&](const NamedId& token, int type_id) {
    const auto& [name, id] = *token;
    tokens[name] = {
        {"id", name}, {"ids", OrderedJson::array({id})}, {"tokens", OrderedJson::array({name})}};
    return OrderedJson{{"SpecialToken", {{"id", name}, {"type_id", type_id}}}};
  };
  const auto sequence = [](const char* id, int type_id) {
    return OrderedJson{{"Sequence", {{"id", id}, {"type_id", type_id}}}};
  };
  if (bos) single.push_back(special(bos, 0));
  single.push_back(sequence("A", 0));
  if (eos) single.push_back(special(eos, 0));
  pair = single;
  if (bos) pair.push_back(special(bos, 1));
  pair.push_back(sequence("B", 1));
  if (eos) pair.push_back(special(eos, 1));
  return {{"type", "TemplateProcessing"},
          {"single", std::move(single)},
          {"pair", std::move(pair)},
          {"special_tokens", std::move(tokens)}};
}

OrderedJson AddedTokenJson(size_t id, const std::string& content, bool special) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", special}};
}

}  // namespace lorikeet
