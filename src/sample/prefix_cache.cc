#include "sample/prefix_cache.h"

#include <algorithm>
#include <utility>

#include "core/check.h"

namespace lorikeet {

using Tokens = std::span<const int32_t>;

struct PrefixNodesByTokens {
  using is_transparent = void;
  static Tokens Of(Tokens tokens) { return tokens; }
  static Tokens Of(const PrefixNode* node);
  template <class A, class B>
  bool operator()(const A& a, const B& b) const {
    const Tokens x = Of(a), y = Of(b);
    return std::lexicographical_compare(x.begin(), x.end(), y.begin(), y.end());
  }
};

// A page of the tree. Children are there only behind a full page; no two full ones are equal.
struct PrefixNode {
  PrefixNode* parent = nullptr;  // null: a root
  uint64_t adapter_version = 0;
  int32_t page = -1;
  std::vector<int32_t> tokens;  // at most kPagePositions
  int64_t last_use = 0;
  std::multiset<PrefixNode*, PrefixNodesByTokens> children;

  bool full() const { return static_cast<int64_t>(tokens.size()) == kPagePositions; }
};

Tokens PrefixNodesByTokens::Of(const PrefixNode* node) { return node->tokens; }

namespace {

int64_t CommonTokens(Tokens a, Tokens b) {
  const auto end = a.begin() + static_cast<std::ptrdiff_t>(std::min(a.size(), b.size()));
  return std::mismatch(a.begin(), end, b.begin()).first - a.begin();
}

// The child with most of the first tokens of `wanted`, and how many; in the order of tokens it is a
// neighbour of `wanted`.
std::pair<PrefixNode*, int64_t> BestChild(const PrefixNode& node, Tokens wanted) {
  std::pair<PrefixNode*, int64_t> best = {nullptr, 0};
  const auto consider = [&](PrefixNode* child) {
    const int64_t common = CommonTokens(wanted, child->tokens);
    if (common > best.second) best = {child, common};
  };
  const auto after = node.children.lower_bound(wanted);
  if (after != node.children.end()) consider(*after);
  if (after != node.children.begin()) consider(*std::prev(after));
  return best;
}

// Takes a node out from between its siblings, or sets it there: around a change of its tokens.
void Unlink(PrefixNode* node) {
  auto& siblings = node->parent->children;
  const auto [begin, end] = siblings.equal_range(node);
  siblings.erase(std::find(begin, end, node));
}
void Link(PrefixNode* node) { node->parent->children.insert(node); }

}  // namespace

int64_t CommonPrefix(Tokens prompt, Tokens cached) {
  return CommonTokens(prompt.first(prompt.size() - 1), cached);
}

PrefixCache::PrefixCache(const ModelConfig& config, DType dtype, int64_t pages)
    : kv_(config, dtype, pages), nodes_(static_cast<size_t>(pages)) {}

PrefixCache::~PrefixCache() = default;

PrefixCache::Match PrefixCache::Find(uint64_t adapter_version, Tokens prompt) const {
  Match match;
  const auto root = roots_.find(adapter_version);
  if (root == roots_.end()) return match;
  const PrefixNode* node = root->second.get();
  for (Tokens rest = prompt.first(prompt.size() - 1); !rest.empty();) {
    const Tokens page = rest.first(std::min<size_t>(rest.size(), kPagePositions));
    const auto [child, common] = BestChild(*node, page);
    if (common == 0) break;
    match.path.push_back(child);
    match.length += common;
    if (common < kPagePositions) break;
    rest = rest.subspan(kPagePositions);
    node = child;
  }
  return match;
}

int64_t PrefixCache::LongestPrefix(uint64_t adapter_version, Tokens prompt) const {
  return Find(adapter_version, prompt).length;
}

CachedSequence PrefixCache::Acquire(uint64_t adapter_version, Tokens prompt) {
  Match match = Find(adapter_version, prompt);
  CachedSequence sequence{.adapter_version = adapter_version, .length = match.length};
  ++uses_;
  for (PrefixNode* node : match.path) {
    kv_.Share(node->page);
    sequence.state.pages.push_back(node->page);
    node->last_use = uses_;
  }
  sequence.path = std::move(match.path);
  const int64_t in_last = match.length % kPagePositions;
  if (in_last > 0) {
    const std::vector<int32_t>& last = sequence.path.back()->tokens;
    sequence.borrowed.assign(last.begin(), last.begin() + in_last);
    sequence.path.pop_back();
  }
  return sequence;
}

// A page that is in a tree and in no sequence.
bool PrefixCache::OnlyCached(int32_t page) const {
  return NodeOf(page) != nullptr && kv_.references(page) == 1;
}

// Pages that are free or would be after evicting all that no sequence uses. A sequence holds the
// pages before those that it holds, so whatever hangs below an unused page is unused too.
int64_t PrefixCache::Available() const {
  int64_t available = kv_.free_pages();
  for (int32_t page = 0; page < kv_.pages(); ++page) available += OnlyCached(page) ? 1 : 0;
  return available;
}

void PrefixCache::Evict(int64_t pages) {
  for (; pages > 0; --pages) {
    PrefixNode* oldest = nullptr;
    for (int32_t page = 0; page < kv_.pages(); ++page) {
      PrefixNode* node = NodeOf(page);
      if (!OnlyCached(page) || !node->children.empty()) continue;
      if (oldest == nullptr || node->last_use < oldest->last_use) oldest = node;
    }
    CHECK(oldest != nullptr);
    Erase(oldest);
  }
}

// With all nodes below it.
void PrefixCache::Erase(PrefixNode* node) {
  while (!node->children.empty()) Erase(*node->children.begin());
  Unlink(node);
  const PrefixNode* parent = node->parent;
  if (parent->parent == nullptr && parent->children.empty()) {
    roots_.erase(parent->adapter_version);
  }
  kv_.Release(node->page);
  nodes_[static_cast<size_t>(node->page)].reset();
}

// True when no other sequence reads or writes a page that one sequence has borrowed.
bool PrefixCache::CanTakeOver(int32_t page) const {
  return kv_.references(page) == (NodeOf(page) == nullptr ? 1 : 2);
}

bool PrefixCache::Extend(CachedSequence& sequence, int64_t positions) {
  std::vector<int32_t>& pages = sequence.state.pages;
  const int64_t all = KvCache::PagesFor(positions);
  const bool borrows = !sequence.borrowed.empty();
  int64_t needed = all - static_cast<int64_t>(pages.size()) + (borrows ? 1 : 0);
  if (needed <= 0) return true;
  bool take_over = false;
  if (needed > kv_.free_pages()) {
    const int64_t available = Available();
    if (needed > available) {
      take_over = borrows && CanTakeOver(pages.back());
      if (!take_over || --needed > available) return false;
    }
  }
  if (borrows && take_over) OwnBorrowed(sequence, true);
  Evict(needed - kv_.free_pages());
  if (borrows && !take_over) OwnBorrowed(sequence, false);
  while (static_cast<int64_t>(pages.size()) < all) {
    pages.push_back(kv_.Allocate(pages.empty() ? -1 : pages.back()));
  }
  return true;
}

// Makes the sequence the writer of its last page: a copy of the borrowed one, or that one itself,
// whose other tokens are then dropped with what follows them.
void PrefixCache::OwnBorrowed(CachedSequence& sequence, bool take_over) {
  const std::vector<int32_t> tokens = std::exchange(sequence.borrowed, {});
  const auto rows = static_cast<int64_t>(tokens.size());
  std::vector<int32_t>& pages = sequence.state.pages;
  const int32_t page = pages.back();
  if (take_over) {
    if (NodeOf(page) != nullptr) Erase(NodeOf(page));
    kv_.ZeroRows(page, rows);
  } else {
    pages.back() = kv_.Allocate(pages.size() < 2 ? -1 : pages[pages.size() - 2]);
    kv_.CopyRows(page, pages.back(), rows);
    kv_.Release(page);
  }
  AddNode(sequence, tokens);
}

// A node for the sequence's first page without one.
void PrefixCache::AddNode(CachedSequence& sequence, Tokens tokens) {
  const int32_t page = sequence.state.pages[sequence.path.size()];
  auto node = std::make_unique<PrefixNode>();
  if (sequence.path.empty()) {
    std::unique_ptr<PrefixNode>& root = roots_[sequence.adapter_version];
    if (root == nullptr) root = std::make_unique<PrefixNode>();
    root->adapter_version = sequence.adapter_version;
    node->parent = root.get();
  } else {
    node->parent = sequence.path.back();
  }
  node->adapter_version = sequence.adapter_version;
  node->page = page;
  node->tokens.assign(tokens.begin(), tokens.end());
  node->last_use = ++uses_;
  Link(node.get());
  sequence.path.push_back(node.get());
  kv_.Share(page);
  CHECK(NodeOf(page) == nullptr);
  nodes_[static_cast<size_t>(page)] = std::move(node);
}

void PrefixCache::Append(CachedSequence& sequence, Tokens tokens) {
  CHECK(sequence.borrowed.empty());
  while (!tokens.empty()) {
    const int64_t in_last = sequence.length % kPagePositions;
    if (in_last == 0) AddNode(sequence, {});
    PrefixNode* node = sequence.path.back();
    const size_t count = std::min(tokens.size(), static_cast<size_t>(kPagePositions - in_last));
    Unlink(node);
    node->tokens.insert(node->tokens.end(), tokens.begin(),
                        tokens.begin() + static_cast<std::ptrdiff_t>(count));
    Link(node);
    sequence.length += static_cast<int64_t>(count);
    tokens = tokens.subspan(count);
    if (node->full()) ShareEqualNode(sequence);
  }
}

// Two sequences may have computed the same page: the first one to be full stays.
void PrefixCache::ShareEqualNode(CachedSequence& sequence) {
  PrefixNode* node = sequence.path.back();
  const auto [begin, end] = node->parent->children.equal_range(node);
  const auto equal = std::find_if(begin, end, [&](PrefixNode* other) { return other != node; });
  if (equal == end) return;
  const int32_t page = node->page;
  sequence.path.back() = *equal;
  sequence.state.pages[sequence.path.size() - 1] = (*equal)->page;
  kv_.Share((*equal)->page);
  Erase(node);
  kv_.Release(page);
}

void PrefixCache::Release(CachedSequence& sequence) {
  ++uses_;
  for (PrefixNode* node : sequence.path) node->last_use = uses_;
  for (const int32_t page : sequence.state.pages) kv_.Release(page);
  sequence = CachedSequence();
}

void PrefixCache::Forget() {
  roots_.clear();
  for (std::unique_ptr<PrefixNode>& node : nodes_) {
    if (node != nullptr) kv_.Release(node->page);
    node.reset();
  }
  CHECK(kv_.free_pages() == kv_.pages());
}

}  // namespace lorikeet
