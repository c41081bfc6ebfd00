// `lorikeet inspect tokenizer`: facts of a tokenizer and its differences from another. A tokenizer
// that differs from its model's gives plausible text and wrong ids.
#pragma once
#include <string>
#include <vector>

#include "chat/bundle.h"
#include "cli/facts.h"
#include "core/json.h"

namespace lorikeet {

struct TokenizerFacts {
  std::string path;
  std::string kind;  // "BPE, byte-level, pre-tokenizers Split ByteLevel"
  TokenizerBundle bundle;
  struct Added {
    int32_t id;
    std::string content;
    std::string flags;  // flags that are set, of "special lstrip rstrip normalized single_word"
  };
  std::vector<Added> added;   // by id
  std::string template_hash;  // FNV-1a of its bytes, 16 hexadecimal digits; "" without a template
};

// Throws Error as LoadTokenizerBundle does.
TokenizerFacts InspectTokenizer(const TokenizerSources& sources);

Facts TokenizerReport(const TokenizerFacts& facts);

struct TokenizerDifferences {
  std::vector<std::string> lines;  // human-readable; empty: no differences
  OrderedJson json = OrderedJson::object();
};
TokenizerDifferences CompareTokenizers(const TokenizerFacts& a, const TokenizerFacts& b);

}  // namespace lorikeet
