// A `GrammarMatcher` is the state of one text that is being written in a grammar.
#pragma once
#include <memory>
#include <string_view>

#include "grammar/grammar.h"
#include "grammar/parser.h"

namespace lorikeet {

// A copy continues independently (a fork of a sequence). Its size does not grow with the text, only
// with the depth of its nesting. Methods that are not const need exclusive access.
class GrammarMatcher {
 public:
  explicit GrammarMatcher(std::shared_ptr<const Grammar> grammar)
      : grammar_(std::move(grammar)), parser_(*grammar_) {}

  // Appends bytes; a character may be cut anywhere. False, and nothing changes, if no text of the
  // grammar begins so.
  bool Advance(std::string_view bytes);
  bool CanEnd() const { return parser_.can_end(); }  // the text is complete as it stands
  // The text is complete and nothing can follow.
  bool IsComplete() const { return CanEnd() && parser_.items().empty(); }

  const Grammar& grammar() const { return *grammar_; }
  const GrammarParser& parser() const { return parser_; }

 private:
  std::shared_ptr<const Grammar> grammar_;
  GrammarParser parser_;
};

}  // namespace lorikeet
