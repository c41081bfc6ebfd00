#include "core/yield.h"

#include <utility>

namespace lorikeet {
namespace {

thread_local const std::function<void(Yield)>* current = nullptr;

}  // namespace

void YieldPoint(Yield kind) {
  if (current != nullptr) (*current)(kind);
}

YieldScope::YieldScope(std::function<void(Yield)> let_others)
    : let_others_(std::move(let_others)), outer_(current) {
  current = &let_others_;
}

YieldScope::~YieldScope() { current = outer_; }

}  // namespace lorikeet
