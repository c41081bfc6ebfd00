#include "grammar/byte_dfa.h"

#include <unordered_map>
#include <utility>

#include "core/error.h"

namespace lorikeet {
namespace {

using AcceptsBoth = bool (*)(bool a, bool b);

// Runs two automata side by side. `needs_b`: a text on which `b` has stopped is not accepted.
ByteDfa Product(const ByteDfa& a, const ByteDfa& b, bool needs_b, AcceptsBoth accepts) {
  ByteDfa out;
  std::unordered_map<uint64_t, int32_t> states;
  std::vector<std::pair<int32_t, int32_t>> pairs;
  const auto state_of = [&](int32_t in_a, int32_t in_b) {
    const uint64_t key = static_cast<uint64_t>(in_a) << 32 | static_cast<uint32_t>(in_b);
    const auto found = states.find(key);
    if (found != states.end()) return found->second;
    const int32_t state = out.AddState(accepts(a.Accepts(in_a), in_b >= 0 && b.Accepts(in_b)));
    states.emplace(key, state);
    pairs.emplace_back(in_a, in_b);
    return state;
  };
  state_of(0, 0);
  for (size_t s = 0; s < pairs.size(); ++s) {
    const auto [in_a, in_b] = pairs[s];
    for (int byte = 0; byte < 256; ++byte) {
      const int32_t next_a = a.row(in_a)[byte], next_b = in_b < 0 ? -1 : b.row(in_b)[byte];
      if (next_a < 0 || (next_b < 0 && needs_b)) continue;
      const int32_t to = state_of(next_a, next_b);
      out.SetNext(static_cast<int32_t>(s), byte, to);
    }
  }
  return out;
}

// Adds one character from `from` to `to`: valid UTF-8 (table 3-7 of the Unicode standard).
void AddCharacter(ByteDfa* dfa, int32_t from, int32_t to) {
  const auto range = [dfa](int32_t state, int low, int high, int32_t next) {
    for (int byte = low; byte <= high; ++byte) dfa->SetNext(state, byte, next);
  };
  const auto state = [&](int low, int high, int32_t next) {
    const int32_t added = dfa->AddState(false);
    range(added, low, high, next);
    return added;
  };
  const int32_t last = state(0x80, 0xBF, to), last_two = state(0x80, 0xBF, last);
  range(from, 0, 0x7F, to);
  range(from, 0xC2, 0xDF, last);
  range(from, 0xE0, 0xE0, state(0xA0, 0xBF, last));
  range(from, 0xE1, 0xEF, last_two);
  range(from, 0xED, 0xED, state(0x80, 0x9F, last));
  range(from, 0xF0, 0xF0, state(0x90, 0xBF, last_two));
  range(from, 0xF1, 0xF3, state(0x80, 0xBF, last_two));
  range(from, 0xF4, 0xF4, state(0x80, 0x8F, last_two));
}

}  // namespace

int32_t ByteDfa::AddState(bool accepts) {
  if (rows_.size() >= kMaxStates) {
    Fail(ErrorCode::kUnsupported,
         "grammar: an automaton of a string has more than {} states; use a simpler pattern or "
         "smaller bounds of its length",
         kMaxStates);
  }
  rows_.emplace_back();
  rows_.back().fill(-1);
  accepts_.push_back(accepts);
  return static_cast<int32_t>(rows_.size() - 1);
}

bool ByteDfa::Matches(std::string_view text) const {
  int32_t state = 0;
  for (const char c : text) {
    state = rows_[state][static_cast<uint8_t>(c)];
    if (state < 0) return false;
  }
  return accepts_[state];
}

ByteDfa TextsOfLength(size_t min, size_t max) {
  ByteDfa dfa;
  int32_t at = dfa.AddState(min == 0);
  for (size_t length = 0; length < max; ++length) {
    const bool loops = max == SIZE_MAX && length >= min;
    const int32_t next = loops ? at : dfa.AddState(length + 1 >= min);
    AddCharacter(&dfa, at, next);
    if (loops) break;
    at = next;
  }
  return dfa;
}

ByteDfa TextsOf(const std::vector<std::string>& texts) {
  ByteDfa dfa;
  dfa.AddState(false);
  for (const std::string& text : texts) {
    int32_t at = 0;
    for (const char c : text) {
      const auto byte = static_cast<uint8_t>(c);
      if (dfa.row(at)[byte] < 0) {
        const int32_t added = dfa.AddState(false);
        dfa.SetNext(at, byte, added);
      }
      at = dfa.row(at)[byte];
    }
    dfa.Accept(at);
  }
  return dfa;
}

ByteDfa Both(const ByteDfa& a, const ByteDfa& b) {
  return Product(a, b, true, [](bool in_a, bool in_b) { return in_a && in_b; });
}

ByteDfa Without(const ByteDfa& a, const ByteDfa& b) {
  return Product(a, b, false, [](bool in_a, bool in_b) { return in_a && !in_b; });
}

}  // namespace lorikeet
