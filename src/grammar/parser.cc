#include "grammar/parser.h"

#include <algorithm>

#include "core/check.h"

namespace lorikeet {

GrammarParser::GrammarParser(const Grammar& grammar) : grammar_(&grammar) {
  frames_.push_back({grammar.start(), kNone});  // the text itself, which nothing calls
  levels_.push_back({.frames = 1});
  AddItem({grammar.start(), 0});
  CloseLevel();
}

bool GrammarParser::Push(uint8_t byte) {
  const size_t begin = levels_.back().items, end = items_.size();
  BeginLevel();
  for (size_t i = begin; i < end; ++i) {
    const GrammarNode to = grammar_->Next(items_[i].node, byte);
    if (to != kNoNode) AddItem({to, items_[i].frame});
  }
  if (items_.size() == end) {
    levels_.pop_back();
    return false;
  }
  CloseLevel();
  return true;
}

bool GrammarParser::PushFrom(Item item) {
  BeginLevel();
  AddItem(item);
  CloseLevel();
  const size_t begin = levels_.back().items;
  const auto own = std::find(items_.begin() + static_cast<ptrdiff_t>(begin), items_.end(), item);
  if (own != items_.end()) items_.erase(own);
  if (items_.size() > begin) return true;
  Pop();
  return false;
}

void GrammarParser::Pop() {
  const Level& level = levels_.back();
  items_.resize(level.items);
  frames_.resize(level.frames);
  callers_.resize(level.callers);
  levels_.pop_back();
}

void GrammarParser::Commit() {
  const Level last = levels_.back();
  items_.erase(items_.begin(), items_.begin() + static_cast<ptrdiff_t>(last.items));
  levels_.assign(1, {.can_end = last.can_end});
  if (frames_.size() > 64 + 2 * live_frames_) CollectFrames();
  levels_[0].frames = frames_.size();
  levels_[0].callers = callers_.size();
}

void GrammarParser::BeginLevel() {
  levels_.push_back({items_.size(), frames_.size(), callers_.size(), false});
}

bool GrammarParser::IsNew(Item item) {
  const size_t begin = levels_.back().items, count = items_.size() - begin;
  if (count < kFewItems) {
    return std::find(items_.begin() + static_cast<ptrdiff_t>(begin), items_.end(), item) ==
           items_.end();
  }
  const auto insert = [&](Item x) {
    const uint64_t key = static_cast<uint64_t>(x.node) << 32 | x.frame;
    size_t at = (key * 0x9E3779B97F4A7C15u) >> 32;
    for (;; ++at) {
      Slot& slot = slots_[at & (slots_.size() - 1)];
      if (slot.stamp != stamp_) return slot = {x, stamp_}, true;
      if (slot.item == x) return false;
    }
  };
  const bool full = slots_.size() < 4 * (count + 1);
  if (full) slots_.assign(std::max<size_t>(256, 2 * slots_.size()), {});
  if (full || count == kFewItems) {
    ++stamp_;
    for (size_t i = begin; i < items_.size(); ++i) insert(items_[i]);
  }
  return insert(item);
}

void GrammarParser::AddItem(Item item) {
  if (IsNew(item)) items_.push_back(item);
}

void GrammarParser::CloseLevel() {
  bool silent = false;
  for (size_t i = levels_.back().items; i < items_.size(); ++i) {
    const Item item = items_[i];
    silent = silent || !grammar_->ReadsBytes(item.node);
    if (!grammar_->Leaves(item.node)) continue;
    for (const GrammarNode to : grammar_->Skips(item.node)) AddItem({to, item.frame});
    for (const Grammar::Call& call : grammar_->Calls(item.node)) {
      Enter(call.rule, call.to, item.frame);
    }
    if (grammar_->Accepts(item.node)) Leave(item.frame);
  }
  if (silent) DropSilentItems();
}

// A rule does not match the empty text, so a frame is left only at levels after its own. All
// callers are known by then.
void GrammarParser::Enter(GrammarNode rule, GrammarNode to, uint32_t frame) {
  size_t f = levels_.back().frames;
  while (f < frames_.size() && frames_[f].rule != rule) ++f;
  const auto at = static_cast<uint32_t>(f);
  if (f == frames_.size()) {
    frames_.push_back({rule, kNone});
    AddItem({rule, at});
  }
  for (uint32_t c = frames_[at].callers; c != kNone; c = callers_[c].next) {
    if (callers_[c].to == to && callers_[c].frame == frame) return;
  }
  callers_.push_back({to, frame, frames_[at].callers});
  frames_[at].callers = static_cast<uint32_t>(callers_.size() - 1);
}

void GrammarParser::Leave(uint32_t frame) {
  if (frame == 0) levels_.back().can_end = true;
  for (uint32_t c = frames_[frame].callers; c != kNone; c = callers_[c].next) {
    AddItem({callers_[c].to, callers_[c].frame});
  }
}

void GrammarParser::DropSilentItems() {
  const auto begin = items_.begin() + static_cast<ptrdiff_t>(levels_.back().items);
  items_.erase(std::remove_if(begin, items_.end(),
                              [&](Item item) { return !grammar_->ReadsBytes(item.node); }),
               items_.end());
}

// Keeps the frames that the items can still return to.
void GrammarParser::CollectFrames() {
  CHECK(levels_.size() == 1);
  std::vector<uint32_t> moved(frames_.size(), kNone), order = {0};
  moved[0] = 0;
  const auto keep = [&](uint32_t frame) {
    if (moved[frame] != kNone) return;
    moved[frame] = static_cast<uint32_t>(order.size());
    order.push_back(frame);
  };
  for (const Item& item : items_) keep(item.frame);
  for (size_t i = 0; i < order.size(); ++i) {
    for (uint32_t c = frames_[order[i]].callers; c != kNone; c = callers_[c].next) {
      keep(callers_[c].frame);
    }
  }
  std::vector<Frame> frames;
  std::vector<Caller> callers;
  for (const uint32_t old : order) {
    uint32_t last = kNone;
    for (uint32_t c = frames_[old].callers; c != kNone; c = callers_[c].next) {
      callers.push_back({callers_[c].to, moved[callers_[c].frame], last});
      last = static_cast<uint32_t>(callers.size() - 1);
    }
    frames.push_back({frames_[old].rule, last});
  }
  for (Item& item : items_) item.frame = moved[item.frame];
  frames_ = std::move(frames);
  callers_ = std::move(callers);
  live_frames_ = frames_.size();
}

}  // namespace lorikeet
