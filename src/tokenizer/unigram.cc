#include "tokenizer/unigram.h"

#include <algorithm>

#include "core/error.h"
#include "core/json_fields.h"
#include "core/utf8.h"

namespace lorikeet {
namespace {

constexpr size_t kMaxTokens = 1 << 24;
constexpr double kUnknownPenalty = 10;  // below the lowest score

}  // namespace

Unigram::Unigram(const Json& model, const std::string& where) : where_(where) {
  const JsonFields fields(model, where + ": model");
  ReadVocab(fields.Array("vocab"));
  if (fields.Has("unk_id")) {
    unk_id_ =
        static_cast<int32_t>(fields.Int("unk_id", 0, static_cast<int64_t>(tokens_.size()) - 1));
  }
  if (fields.Bool("byte_fallback", false)) {
    byte_ids_.resize(256);
    for (int b = 0; b < 256; ++b) {
      byte_ids_[b] = TokenToId(fmt::format("<0x{:02X}>", b)).value_or(-1);
    }
  }
  BuildTrie();
}

void Unigram::ReadVocab(const Json& vocab) {
  if (vocab.empty() || vocab.size() > kMaxTokens) {
    Fail(ErrorCode::kCorruptFile, "{}: model.vocab has {} tokens", where_, vocab.size());
  }
  for (const Json& entry : vocab) {
    const bool ok = entry.is_array() && entry.size() == 2 && entry[0].is_string() &&
                    entry[1].is_number() && !entry[0].get_ref<const std::string&>().empty();
    if (!ok) {
      Fail(ErrorCode::kCorruptFile, "{}: model.vocab[{}]: expected [\"token\", score]", where_,
           tokens_.size());
    }
    tokens_.push_back(entry[0].get<std::string>());
    scores_.push_back(entry[1].get<double>());
  }
  unk_score_ = *std::min_element(scores_.begin(), scores_.end()) - kUnknownPenalty;
  // The last of equal tokens counts.
  for (size_t id = 0; id < tokens_.size(); ++id) {
    ids_.insert_or_assign(tokens_[id], static_cast<int32_t>(id));
  }
}

void Unigram::BuildTrie() {
  ends_.push_back(-1);
  for (const auto& [token, id] : ids_) {
    uint64_t node = 0;
    for (const char c : token) {
      const uint64_t edge = node << 8 | static_cast<uint8_t>(c);
      uint64_t to = next_.Find(edge);
      if (to == FlatMap::kNone) {
        to = ends_.size();
        ends_.push_back(-1);
        next_.Set(edge, to);
      }
      node = to;
    }
    ends_[node] = id;
  }
}

std::optional<int32_t> Unigram::TokenToId(std::string_view token) const {
  const auto it = ids_.find(token);
  if (it == ids_.end()) return std::nullopt;
  return it->second;
}

const std::string& Unigram::IdToToken(int32_t id) const {
  static const std::string none;
  return id >= 0 && id < id_limit() ? tokens_[id] : none;
}

std::vector<Unigram::Step> Unigram::BestSteps(std::string_view piece) const {
  std::vector<Step> steps(piece.size() + 1);
  for (size_t begin = 0, length; begin < piece.size(); begin += length) {
    DecodeUtf8(piece, begin, &length);
    const auto offer = [&](size_t end, double score, int32_t id) {
      const double sum = steps[begin].score + score;
      if (steps[end].begin == kNowhere || sum > steps[end].score) {
        steps[end] = {sum, static_cast<uint32_t>(begin), id};
      }
    };
    bool has_char = false;
    uint64_t node = 0;
    for (size_t i = begin; i < piece.size(); ++i) {
      node = next_.Find(node << 8 | static_cast<uint8_t>(piece[i]));
      if (node == FlatMap::kNone) break;
      if (ends_[node] < 0) continue;
      offer(i + 1, scores_[ends_[node]], ends_[node]);
      has_char |= i + 1 == begin + length;
    }
    if (!has_char) offer(begin + length, unk_score_, -1);
  }
  return steps;
}

void Unigram::Encode(std::string_view piece, TokenRun* out) const {
  const std::vector<Step> steps = BestSteps(piece);
  std::vector<Span> cuts;  // last first
  bool unknown = false;
  for (size_t end = piece.size(); end > 0; end = steps[end].begin) {
    const Step& step = steps[end];
    const bool unknown_here = step.id < 0 || step.id == unk_id_;
    if (unknown_here && unknown) {  // neighbours without tokens are one
      cuts.back().begin = step.begin;
    } else {
      cuts.push_back({step.begin, static_cast<uint32_t>(end)});
    }
    unknown = unknown_here;
  }
  for (auto cut = cuts.rbegin(); cut != cuts.rend(); ++cut) {
    Emit(piece.substr(cut->begin, cut->end - cut->begin), out);
  }
}

void Unigram::Emit(std::string_view text, TokenRun* out) const {
  const auto length = static_cast<uint32_t>(text.size());
  if (const auto id = TokenToId(text)) return out->Add(*id, length);
  const auto byte_id = [this](char c) { return byte_ids_[static_cast<uint8_t>(c)]; };
  if (!byte_ids_.empty() &&
      std::all_of(text.begin(), text.end(), [&](char c) { return byte_id(c) >= 0; })) {
    for (const char c : text) out->Add(byte_id(c), 1);
    return;
  }
  if (!unk_id_) {
    Fail(ErrorCode::kCorruptFile,
         "{}: the text has characters without a token, and the model has no unk_id", where_);
  }
  out->Add(*unk_id_, length);
}

}  // namespace lorikeet
