#include "tokenizer/bpe.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <unordered_set>

#include "core/error.h"
#include "core/json_fields.h"
#include "core/utf8.h"
#include "tokenizer/word_cache.h"

namespace lorikeet {
namespace {

constexpr int64_t kMaxId = (1 << 24) - 1;  // far above any vocabulary; bounds what a file can claim
constexpr uint32_t kMetaspace = 0x2581;
constexpr std::string_view kMetaspaceUtf8 = "\xE2\x96\x81";

uint32_t FirstChar(std::string_view s) {
  size_t length;
  return s.empty() ? 0 : DecodeUtf8(s, 0, &length);
}

uint32_t LastChar(std::string_view s) {
  size_t length;
  return s.empty() ? 0 : DecodeUtf8(s, PreviousChar(s, s.size()), &length);
}

}  // namespace

const uint32_t* ByteAlphabet() {
  static const std::array<uint32_t, 256> alphabet = [] {
    std::array<uint32_t, 256> a{};
    uint32_t next = 256;  // for bytes that are not printable in Latin-1
    for (uint32_t b = 0; b < 256; ++b) {
      const bool printable = (b >= 33 && b <= 126) || (b >= 161 && b != 173);
      a[b] = printable ? b : next++;
    }
    return a;
  }();
  return alphabet.data();
}

std::optional<std::string> BytesOfToken(std::string_view token) {
  static const std::array<int16_t, 512> byte_of = [] {
    std::array<int16_t, 512> table;
    table.fill(-1);
    for (int b = 0; b < 256; ++b) table[ByteAlphabet()[b]] = static_cast<int16_t>(b);
    return table;
  }();
  std::string bytes;
  for (size_t i = 0, length; i < token.size(); i += length) {
    const uint32_t code = DecodeUtf8(token, i, &length);
    if (code >= byte_of.size() || byte_of[code] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(byte_of[code]));
  }
  return bytes;
}

Bpe::Bpe(const Json& model, bool byte_level, const std::string& where)
    : where_(where), byte_level_(byte_level) {
  const JsonFields fields(model, where + ": model");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!fields.String(key, "").empty()) {
      Fail(ErrorCode::kUnsupported, "{}: model.{} is not supported", where, key);
    }
  }
  const Json& dropout = fields.At("dropout");
  if (!dropout.is_null() && !(dropout.is_number() && dropout.get<double>() == 0)) {
    Fail(ErrorCode::kUnsupported, "{}: model.dropout would make the ids random; remove it", where);
  }
  ignore_merges_ = fields.Bool("ignore_merges", false);
  byte_fallback_ = fields.Bool("byte_fallback", false);
  fuse_unk_ = fields.Bool("fuse_unk", false);
  ReadVocab(fields.At("vocab"));
  ReadMerges(fields.Array("merges"));
  if (fields.Has("unk_token")) {
    unk_token_ = fields.String("unk_token");
    unk_id_ = TokenToId(*unk_token_).value_or(-1);
  }
  BuildByteTables();
  FindSafeCuts();
  static std::atomic<uint64_t> serials{0};
  serial_ = ++serials;
}

void Bpe::ReadVocab(const Json& vocab) {
  const JsonFields fields(vocab, where_ + ": model.vocab");
  int64_t highest = -1;
  for (const auto& [token, id] : vocab.items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > uint64_t(kMaxId)) {
      fields.Expected(token, fmt::format("an id of 0 to {}", kMaxId));
    }
    highest = std::max(highest, id.get<int64_t>());
  }
  tokens_.resize(highest + 1);
  for (const auto& [token, id] : vocab.items()) {
    std::string& slot = tokens_[id.get<size_t>()];
    if (!slot.empty()) {
      Fail(ErrorCode::kCorruptFile, "{}: '{}' and '{}' have the same id {}", fields.where(), slot,
           token, id.get<int64_t>());
    }
    slot = token;
    size_t length;
    const uint32_t code = token.empty() ? 0 : DecodeUtf8(token, 0, &length);
    if (!token.empty() && length == token.size()) chars_.Set(code, id.get<uint64_t>());
  }
  ids_.reserve(vocab.size());
  for (size_t id = 0; id < tokens_.size(); ++id) {
    if (!tokens_[id].empty()) ids_.emplace(tokens_[id], static_cast<int32_t>(id));
  }
}

uint64_t Bpe::RankOf(const Json& rank, uint64_t position) const {
  if (!rank.is_number_unsigned() || rank.get<uint64_t>() > position) {
    Fail(ErrorCode::kCorruptFile, "{}: model.merges[{}]: its rank must be an integer of 0 to {}",
         where_, position, position);
  }
  return rank.get<uint64_t>();
}

void Bpe::ReadMerges(const Json& merges) {
  uint64_t position = 0;
  std::string merged;
  for (const Json& merge : merges) {
    std::string left, right;
    uint64_t rank = position;
    if (merge.is_string()) {
      const std::string& both = merge.get_ref<const std::string&>();
      const size_t space = both.find(' ');
      if (space != both.npos) left = both.substr(0, space), right = both.substr(space + 1);
      if (right.find(' ') != right.npos) left.clear();
    } else if (merge.is_array() && (merge.size() == 2 || merge.size() == 3) &&
               merge[0].is_string() && merge[1].is_string()) {
      left = merge[0].get<std::string>();
      right = merge[1].get<std::string>();
      if (merge.size() == 3) rank = RankOf(merge[2], position);
    }
    if (left.empty() || right.empty()) {
      Fail(ErrorCode::kCorruptFile, "{}: model.merges[{}]: expected \"a b\" or [\"a\", \"b\"]",
           where_, position);
    }
    merged = left + right;
    const auto a = TokenToId(left), b = TokenToId(right), ab = TokenToId(merged);
    if (!a || !b || !ab) {
      Fail(ErrorCode::kCorruptFile, "{}: model.merges[{}]: '{}' is not in the vocabulary", where_,
           position,
           !a   ? left
           : !b ? right
                : merged);
    }
    merges_.Set(uint64_t(*a) << 32 | uint64_t(*b), rank << 32 | uint64_t(*ab));
    ++position;
  }
}

void Bpe::BuildByteTables() {
  byte_ids_.assign(256, -1);
  for (int b = 0; b < 256; ++b) {
    std::string token;
    if (byte_level_) {
      AppendUtf8(ByteAlphabet()[b], &token);
    } else {
      token = fmt::format("<0x{:02X}>", b);
    }
    byte_ids_[b] = TokenToId(token).value_or(-1);
  }
  if (!byte_level_ || !ignore_merges_) return;
  for (size_t id = 0; id < tokens_.size(); ++id) {
    if (auto bytes = BytesOfToken(tokens_[id]))
      byte_words_.emplace(*bytes, static_cast<int32_t>(id));
  }
}

// SentencePiece models get a whole text as one piece. No merge joins x and U+2581 unless its left
// part ends in x and its right part begins with U+2581; between all other such neighbours the piece
// may be split into words, which are short and recur often.
void Bpe::FindSafeCuts() {
  if (byte_level_ || ignore_merges_ || chars_.Find(kMetaspace) == FlatMap::kNone) return;
  safe_cuts_ = true;
  const std::unordered_set<int32_t> bytes(byte_ids_.begin(), byte_ids_.end());
  merges_.ForEach([&](uint64_t pair, uint64_t) {
    const auto left = static_cast<int32_t>(pair >> 32), right = static_cast<int32_t>(pair);
    const auto stands_for_other_text = [&](int32_t id) {
      return id == unk_id_ || bytes.contains(id);
    };
    // The tokens of unknown characters and bytes encode text other than their spelling.
    if (stands_for_other_text(left) || stands_for_other_text(right)) safe_cuts_ = false;
    if (FirstChar(tokens_[right]) == kMetaspace) {
      unsafe_before_.push_back(LastChar(tokens_[left]));
    }
  });
  std::sort(unsafe_before_.begin(), unsafe_before_.end());
  unsafe_before_.erase(std::unique(unsafe_before_.begin(), unsafe_before_.end()),
                       unsafe_before_.end());
}

std::optional<int32_t> Bpe::TokenToId(std::string_view token) const {
  const auto it = ids_.find(token);
  if (it == ids_.end()) return std::nullopt;
  return it->second;
}

bool Bpe::HasId(int32_t id) const {
  return id >= 0 && static_cast<size_t>(id) < tokens_.size() && !tokens_[id].empty();
}

const std::string& Bpe::IdToToken(int32_t id) const {
  static const std::string none;
  return HasId(id) ? tokens_[id] : none;
}

void Bpe::Encode(std::string_view piece, TokenRun* out) const {
  if (!safe_cuts_) return EncodeWord(piece, out);
  size_t begin = 0;
  for (size_t cut = piece.find(kMetaspaceUtf8, 1); cut != piece.npos && !piece.empty();
       cut = piece.find(kMetaspaceUtf8, cut + 3)) {
    const uint32_t before = LastChar(piece.substr(0, cut));
    if (std::binary_search(unsafe_before_.begin(), unsafe_before_.end(), before)) continue;
    EncodeWord(piece.substr(begin, cut - begin), out);
    begin = cut;
  }
  EncodeWord(piece.substr(begin), out);
}

void Bpe::EncodeWord(std::string_view word, TokenRun* out) const {
  if (word.size() > WordCache::kMaxWord) return EncodeUncached(word, out);
  WordCache& cache = WordCache::OfThread();
  WordCache::Entry& entry = cache.Slot(serial_, word);
  if (!WordCache::Matches(entry, serial_, word)) {
    TokenRun run(true);
    EncodeUncached(word, &run);
    if (!WordCache::Store(serial_, word, run.ids, run.lengths, &entry)) {
      for (size_t i = 0; i < run.ids.size(); ++i) out->Add(run.ids[i], run.lengths[i]);
      return;
    }
  }
  out->ids.insert(out->ids.end(), entry.ids, entry.ids + entry.count);
  if (out->with_lengths) {
    out->lengths.insert(out->lengths.end(), entry.lengths, entry.lengths + entry.count);
  }
}

void Bpe::EncodeUncached(std::string_view word, TokenRun* out) const {
  if (word.empty()) return;
  if (ignore_merges_) {
    const auto length = static_cast<uint32_t>(word.size());
    if (byte_level_) {
      const auto it = byte_words_.find(std::string(word));
      if (it != byte_words_.end()) return out->Add(it->second, length);
    } else if (const auto id = TokenToId(word)) {
      return out->Add(*id, length);
    }
  }
  std::vector<Symbol> symbols;
  Symbols(word, &symbols);
  constexpr size_t kShort = 32;  // up to here scanning beats a heap
  symbols.size() <= kShort ? MergeShort(&symbols) : MergeLong(&symbols);
  for (const Symbol& symbol : symbols) out->Add(symbol.id, symbol.length);
}

// The characters of `word` as first symbols. A character that the vocabulary lacks becomes its
// bytes if all of them have tokens, else the unknown token, else nothing.
void Bpe::Symbols(std::string_view word, std::vector<Symbol>* symbols) const {
  bool last_unknown = false;
  symbols->reserve(word.size());
  for (size_t i = 0, length = 1; i < word.size(); i += length) {
    const auto byte = static_cast<uint8_t>(word[i]);
    int32_t id;
    if (byte_level_) {
      id = byte_ids_[byte];
    } else {
      id = static_cast<int32_t>(chars_.Find(DecodeUtf8(word, i, &length)));  // kNone is -1
    }
    if (id >= 0) {
      symbols->push_back({id, static_cast<uint32_t>(length)});
      last_unknown = false;
      continue;
    }
    const auto has_token = [&](char c) { return byte_ids_[static_cast<uint8_t>(c)] >= 0; };
    const std::string_view bytes = word.substr(i, length);
    if (byte_fallback_ && !byte_level_ && std::all_of(bytes.begin(), bytes.end(), has_token)) {
      for (const char c : bytes) symbols->push_back({byte_ids_[static_cast<uint8_t>(c)], 1});
      last_unknown = false;
      continue;
    }
    UnknownSymbol(static_cast<uint32_t>(length), symbols, &last_unknown);
  }
}

void Bpe::UnknownSymbol(uint32_t length, std::vector<Symbol>* symbols, bool* last_unknown) const {
  if (!unk_token_) {
    // Dropped; its bytes are added to the previous symbol, so that later offsets stay right.
    if (!symbols->empty()) symbols->back().length += length;
    return;
  }
  if (unk_id_ < 0) {
    Fail(ErrorCode::kCorruptFile,
         "{}: the text needs model.unk_token '{}', which is not in the vocabulary", where_,
         *unk_token_);
  }
  if (*last_unknown && fuse_unk_) {
    symbols->back().length += length;
  } else {
    symbols->push_back({unk_id_, length});
  }
  *last_unknown = true;
}

// Lowest rank first, leftmost first among equals.
void Bpe::MergeShort(std::vector<Symbol>* symbols) const {
  std::vector<Symbol>& s = *symbols;
  if (s.size() < 2) return;
  std::array<uint64_t, 33> merge;  // of s[i] and s[i + 1]; kNone is the highest rank
  for (size_t i = 0; i + 1 < s.size(); ++i) merge[i] = Merge(s[i].id, s[i + 1].id);
  for (size_t n = s.size(); n > 1;) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i) {
      if (merge[i] >> 32 < merge[best] >> 32) best = i;
    }
    if (merge[best] == FlatMap::kNone) break;
    s[best] = {static_cast<int32_t>(merge[best]), s[best].length + s[best + 1].length};
    s.erase(s.begin() + best + 1);
    --n;
    std::copy(merge.begin() + best + 1, merge.begin() + n, merge.begin() + best);
    if (best + 1 < n) merge[best] = Merge(s[best].id, s[best + 1].id);
    if (best > 0) merge[best - 1] = Merge(s[best - 1].id, s[best].id);
  }
}

// The same order of merges with a heap of candidates over a linked list: O(n log n).
void Bpe::MergeLong(std::vector<Symbol>* symbols) const {
  std::vector<Symbol>& s = *symbols;
  struct Candidate {
    uint64_t merge;
    uint32_t at;
    bool operator<(const Candidate& other) const {  // std heaps keep the greatest on top
      const uint64_t a = merge >> 32, b = other.merge >> 32;
      return a != b ? a > b : at > other.at;
    }
  };
  const auto n = static_cast<uint32_t>(s.size());
  std::vector<uint32_t> next(n), previous(n);
  std::vector<Candidate> heap;
  const auto offer = [&](uint32_t left, uint32_t right) {
    const uint64_t merge = Merge(s[left].id, s[right].id);
    if (merge != FlatMap::kNone) heap.push_back({merge, left});
    return merge != FlatMap::kNone;
  };
  for (uint32_t i = 0; i < n; ++i) {
    next[i] = i + 1;
    previous[i] = i - 1;
    if (i + 1 < n) offer(i, i + 1);
  }
  std::make_heap(heap.begin(), heap.end());
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    const Candidate top = heap.back();
    heap.pop_back();
    const uint32_t left = top.at;
    if (s[left].length == 0 || next[left] >= n) continue;  // merged away, or now the last
    const uint32_t right = next[left];
    if (Merge(s[left].id, s[right].id) != top.merge) continue;  // a neighbour changed meanwhile
    s[left] = {static_cast<int32_t>(top.merge), s[left].length + s[right].length};
    s[right].length = 0;
    next[left] = next[right];
    if (next[left] < n) {
      previous[next[left]] = left;
      if (offer(left, next[left])) std::push_heap(heap.begin(), heap.end());
    }
    if (left > 0 && offer(previous[left], left)) std::push_heap(heap.begin(), heap.end());
  }
  std::erase_if(s, [](const Symbol& symbol) { return symbol.length == 0; });
}

}  // namespace lorikeet
