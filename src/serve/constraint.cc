#include "serve/constraint.h"

#include <algorithm>
#include <utility>

namespace lorikeet {
namespace {

class GrammarFilter : public TokenFilter {
 public:
  GrammarFilter(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenMask> mask)
      : mask_(std::move(mask)), matcher_(std::move(grammar)) {}

  void Mask(std::span<float> logits) override {
    mask_->AllowedTokens(matcher_, &allowed_);
    MaskLogits(logits, allowed_);
  }
  void Accept(int32_t token) override {
    if (!mask_->IsEnd(token)) CHECK(matcher_.Advance(mask_->Bytes(token)));
  }
  bool complete() const override { return matcher_.IsComplete(); }

 private:
  std::shared_ptr<const TokenMask> mask_;
  GrammarMatcher matcher_;
  std::vector<uint64_t> allowed_;
};

std::string KeyOf(const GrammarPart& part) {
  std::string key = std::to_string(static_cast<int>(part.kind)) + ":" + part.literal + ":" +
                    part.schema.dump() + ":" + std::to_string(part.min) + ":" +
                    std::to_string(part.max) + "(";
  for (const GrammarPart& each : part.parts) key += KeyOf(each) + ",";
  return key + ")";
}

}  // namespace

std::shared_ptr<const TokenMask> Constraints::MaskOf(const ServedModel& model, int64_t vocab_size) {
  const std::lock_guard lock(mutex_);
  const auto& bundle = model.text->shared_bundle();
  Mask& entry = masks_[bundle.get()];
  if (entry.mask == nullptr) {
    entry.bundle = bundle;
    entry.mask =
        std::make_shared<const TokenMask>(bundle->tokenizer, model.text->StopTokens(vocab_size));
  }
  return entry.mask;
}

std::shared_ptr<const Grammar> Constraints::GrammarOf(const GrammarPart& part) {
  constexpr size_t kKept = 64;
  std::string key = KeyOf(part);
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(grammars_.begin(), grammars_.end(),
                                    [&](const Compiled& each) { return each.key == key; });
    if (found != grammars_.end()) {
      grammars_.splice(grammars_.begin(), grammars_, found);
      return grammars_.front().grammar;
    }
  }
  std::shared_ptr<const Grammar> grammar = Grammar::Compile(part);
  const std::lock_guard lock(mutex_);
  grammars_.push_front({std::move(key), grammar});
  if (grammars_.size() > kKept) grammars_.pop_back();
  return grammar;
}

std::function<std::unique_ptr<TokenFilter>()> Constraints::FilterOf(const ServedModel& model,
                                                                    int64_t vocab_size,
                                                                    const GrammarPart& part) {
  return [grammar = GrammarOf(part), mask = MaskOf(model, vocab_size)] {
    return std::make_unique<GrammarFilter>(grammar, mask);
  };
}

}  // namespace lorikeet
