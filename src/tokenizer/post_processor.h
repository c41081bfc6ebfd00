// The "post_processor" of tokenizer.json: special tokens around a text.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/json_fields.h"

namespace lorikeet {

class PostProcessor {
 public:
  PostProcessor() = default;
  // `json`: the object, or null for none. Throws Error naming an unsupported part.
  PostProcessor(const Json& json, const std::string& where);

  // Throws Error unless all its ids are below `limit`.
  void CheckIds(int32_t limit) const;
  void Apply(std::vector<int32_t>* ids) const;
  const std::vector<int32_t>& before() const { return before_; }
  const std::vector<int32_t>& after() const { return after_; }

 private:
  void Parse(const Json& json, int depth);
  void ParseTemplate(const Json& json);
  static int32_t PairedId(const JsonFields& fields, const char* key);

  std::string where_;
  std::vector<int32_t> before_, after_;
};

}  // namespace lorikeet
