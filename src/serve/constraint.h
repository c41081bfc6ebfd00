// Constrained decoding of a choice: a `TokenFilter` that follows a grammar.
#pragma once
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "grammar/grammar.h"
#include "grammar/token_mask.h"
#include "serve/generation_call.h"
#include "serve/served_models.h"

namespace lorikeet {

// The token masks of the served tokenizers and the grammars of recent requests, made once each.
// Thread-safe.
class Constraints {
 public:
  // Makes filters, one for each sequence. Throws Error naming what of a schema is not supported.
  std::function<std::unique_ptr<TokenFilter>()> FilterOf(const ServedModel& model,
                                                         int64_t vocab_size,
                                                         const GrammarPart& part);

 private:
  std::shared_ptr<const TokenMask> MaskOf(const ServedModel& model, int64_t vocab_size);
  std::shared_ptr<const Grammar> GrammarOf(const GrammarPart& part);

  std::mutex mutex_;
  // By tokenizer, which the entry keeps alive.
  struct Mask {
    std::shared_ptr<const TokenizerBundle> bundle;
    std::shared_ptr<const TokenMask> mask;
  };
  std::map<const TokenizerBundle*, Mask> masks_;
  struct Compiled {
    std::string key;
    std::shared_ptr<const Grammar> grammar;
  };
  std::list<Compiled> grammars_;  // the last used one first
};

}  // namespace lorikeet
