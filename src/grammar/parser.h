// A `GrammarParser` follows a text through a grammar byte by byte, along all paths at once, and can
// go back. It is the engine of GrammarMatcher and TokenMask.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "grammar/grammar.h"

namespace lorikeet {

// Earley's algorithm on the nodes of a grammar. A frame stands for one call of a rule that began at
// one position; all calls of a rule from there share it, so that the number of paths stays bounded
// by the number of nodes and frames, however ambiguous the grammar is.
class GrammarParser {
 public:
  struct Item {
    GrammarNode node;
    uint32_t frame;
    bool operator==(const Item&) const = default;
  };

  // At the beginning of a text. `grammar` must outlive this.
  explicit GrammarParser(const Grammar& grammar);

  // Reads a byte. False, and nothing changes, if no text of the grammar continues so.
  bool Push(uint8_t byte);
  // Continues from what `item` leads to without a byte; the item itself is left out. False, and
  // nothing changes, if it leads to none that reads a byte.
  bool PushFrom(Item item);
  void Pop();  // takes the last Push or PushFrom back
  // Makes all that was pushed the new beginning, which Pop does not go behind.
  void Commit();

  // The places that read the next byte.
  std::span<const Item> items() const { return std::span(items_).subspan(levels_.back().items); }
  bool can_end() const { return levels_.back().can_end; }
  size_t depth() const { return levels_.size() - 1; }
  size_t frame_count() const { return frames_.size(); }

 private:
  static constexpr uint32_t kNone = ~uint32_t{0};
  static constexpr size_t kFewItems = 16;
  struct Frame {
    GrammarNode rule;
    uint32_t callers;  // the last of a list
  };
  struct Caller {
    GrammarNode to;  // where the caller continues
    uint32_t frame, next;
  };
  // Sizes of the lists when a level was begun.
  struct Level {
    size_t items = 0, frames = 0, callers = 0;
    bool can_end = false;
  };

  void BeginLevel();
  void AddItem(Item item);
  void CloseLevel();  // adds all that the level's items lead to without a byte
  void Enter(GrammarNode rule, GrammarNode to, uint32_t frame);
  void Leave(uint32_t frame);
  void DropSilentItems();
  bool IsNew(Item item);
  void CollectFrames();

  const Grammar* grammar_;
  std::vector<Item> items_;
  std::vector<Frame> frames_;
  std::vector<Caller> callers_;
  std::vector<Level> levels_;
  // Hash table of the items of a level with many: a slot is of this level if its stamp is.
  struct Slot {
    Item item{};
    uint32_t stamp = 0;
  };
  std::vector<Slot> slots_;
  uint32_t stamp_ = 0;
  size_t live_frames_ = 0;  // after the last collection
};

}  // namespace lorikeet
