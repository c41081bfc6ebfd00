#include "grammar/token_mask.h"

#include <algorithm>
#include <limits>

namespace lorikeet {
namespace {

void SetBit(int32_t id, std::vector<uint64_t>* mask) {
  (*mask)[static_cast<size_t>(id) / 64] |= uint64_t{1} << (id % 64);
}

std::vector<std::string> WithoutTokens(std::vector<std::string> tokens,
                                       const std::vector<int32_t>& ids) {
  for (const int32_t id : ids) {
    if (id >= 0 && static_cast<size_t>(id) < tokens.size()) tokens[id].clear();
  }
  return tokens;
}

}  // namespace

std::vector<std::string> TokenBytes(const Tokenizer& tokenizer) {
  std::vector<std::string> tokens(tokenizer.VocabSize());
  for (int32_t id = 0; id < tokenizer.VocabSize(); ++id) {
    if (!tokenizer.IsSpecial(id)) tokens[id] = tokenizer.BytesOf(id);
  }
  return tokens;
}

TokenMask::TokenMask(std::vector<std::string> tokens, std::vector<int32_t> end_tokens)
    : tokens_(WithoutTokens(std::move(tokens), end_tokens)),
      end_tokens_(std::move(end_tokens)),
      trie_(tokens_) {}

const std::string& TokenMask::Bytes(int32_t id) const {
  static const std::string none;
  return id >= 0 && id < vocab_size() ? tokens_[id] : none;
}

bool TokenMask::IsEnd(int32_t id) const {
  return std::find(end_tokens_.begin(), end_tokens_.end(), id) != end_tokens_.end();
}

void TokenMask::SetCacheLimit(size_t bytes) {
  const std::lock_guard lock(mutex_);
  cache_limit_ = bytes;
  locals_.clear();
  shared_locals_.clear();
  cached_bytes_ = 0;
}

size_t TokenMask::cached_bytes() const {
  const std::lock_guard lock(mutex_);
  return cached_bytes_;
}

bool TokenMask::AllowedTokens(const GrammarMatcher& matcher, std::vector<uint64_t>* mask) const {
  const Grammar& grammar = matcher.grammar();
  mask->assign((tokens_.size() + 63) / 64, 0);
  GrammarParser parser = matcher.parser();
  for (const GrammarParser::Item item : matcher.parser().items()) {
    const LocalPointer local = LocalOf(grammar, item.node);
    for (size_t word = 0; word < local->bits.size(); ++word) (*mask)[word] |= local->bits[word];
    for (const int32_t id : local->ids) SetBit(id, mask);
    for (const Local::Exit& exit : local->exits) {
      if (!parser.PushFrom({exit.node, item.frame})) continue;
      Walk(exit.trie, &parser, mask);
      parser.Pop();
    }
  }
  if (matcher.CanEnd()) {
    for (const int32_t id : end_tokens_) {
      if (id >= 0 && id < vocab_size()) SetBit(id, mask);
    }
  }
  return std::any_of(mask->begin(), mask->end(), [](uint64_t word) { return word != 0; });
}

// Sets the tokens below a node of the trie that `parser` reads.
void TokenMask::Walk(uint32_t trie_node, GrammarParser* parser, std::vector<uint64_t>* mask) const {
  const size_t base = parser->depth(), top = trie_.node(trie_node).depth;
  const uint32_t end = trie_.node(trie_node).end;
  for (uint32_t i = trie_node + 1; i < end;) {
    const TokenTrie::Node& node = trie_.node(i);
    while (parser->depth() > base + node.depth - top - 1) parser->Pop();
    if (!parser->Push(node.byte)) {
      i = node.end;
      continue;
    }
    for (const int32_t id : trie_.TokensOf(i)) SetBit(id, mask);
    ++i;
  }
  while (parser->depth() > base) parser->Pop();
}

size_t TokenMask::Local::bytes() const {
  return sizeof(Local) + bits.size() * sizeof(bits[0]) + ids.size() * sizeof(ids[0]) +
         exits.size() * sizeof(exits[0]);
}

TokenMask::LocalPointer TokenMask::LocalOf(const Grammar& grammar, GrammarNode node) const {
  const bool shared = node < grammar.shared_nodes();
  const uint64_t key = shared ? node : grammar.id() << 32 | node;
  {
    const std::lock_guard lock(mutex_);
    const auto& locals = shared ? shared_locals_ : locals_;
    const auto found = locals.find(key);
    if (found != locals.end()) return found->second;
  }
  const auto local = std::make_shared<const Local>(MakeLocal(grammar, node));
  Remember(key, shared, local);
  return local;
}

// Entries for the rules of JSON are kept; all others are dropped together at the limit.
void TokenMask::Remember(uint64_t key, bool shared, const LocalPointer& local) const {
  const std::lock_guard lock(mutex_);
  if (cache_limit_ == 0) return;
  if (shared) {
    shared_locals_.emplace(key, local);
    return;
  }
  if (cached_bytes_ + local->bytes() > cache_limit_) {
    locals_.clear();
    cached_bytes_ = 0;
  }
  if (locals_.emplace(key, local).second) cached_bytes_ += local->bytes();
}

TokenMask::Local TokenMask::MakeLocal(const Grammar& grammar, GrammarNode node) const {
  Local local;
  std::vector<GrammarNode> path(trie_.max_depth() + 1);  // the grammar's node at each depth
  path[0] = node;
  for (size_t i = 1; i < trie_.size();) {
    const TokenTrie::Node& at = trie_.node(i);
    const GrammarNode to = grammar.Next(path[at.depth - 1], at.byte);
    if (to == kNoNode) {
      i = at.end;
      continue;
    }
    path[at.depth] = to;
    const std::span<const int32_t> ids = trie_.TokensOf(i);
    local.ids.insert(local.ids.end(), ids.begin(), ids.end());
    const bool has_more = at.end > i + 1;
    if (has_more && grammar.Leaves(to)) local.exits.push_back({static_cast<uint32_t>(i), to});
    ++i;
  }
  const size_t words = (tokens_.size() + 63) / 64;
  if (local.ids.size() > 2 * words) {  // a mask takes less memory
    local.bits.resize(words);
    for (const int32_t id : local.ids) SetBit(id, &local.bits);
    local.ids = {};
  }
  local.ids.shrink_to_fit();
  return local;
}

void MaskLogits(std::span<float> logits, std::span<const uint64_t> mask) {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  for (size_t begin = 0; begin < logits.size(); begin += 64) {
    const std::span<float> some =
        logits.subspan(begin, std::min<size_t>(64, logits.size() - begin));
    const uint64_t allowed = begin / 64 < mask.size() ? mask[begin / 64] : 0;
    if (allowed == ~uint64_t{0}) continue;
    for (size_t i = 0; i < some.size(); ++i) some[i] = (allowed >> i & 1) != 0 ? some[i] : kNever;
  }
}

}  // namespace lorikeet
