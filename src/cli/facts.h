// `Facts` is a report in its two forms, rows of text and a JSON object, from one declaration:
//
//   v("threads", facts.threads, "Threads");         // a fact in both
//   v("swap_free_bytes", facts.memory.swap_free);   // a fact in the JSON
//   v.Row("Swap", SwapText(facts.memory));          // a row that sums up several facts
#pragma once
#include <fmt/format.h>

#include <optional>
#include <string>

#include "core/json.h"

namespace lorikeet {

struct Facts {
  std::string text;
  OrderedJson json = OrderedJson::object();

  template <class T>
  void operator()(const char* key, const T& value) {
    json[key] = value;
  }
  template <class T>
  void operator()(const char* key, const std::optional<T>& value) {  // absent: null
    json[key] = value ? OrderedJson(*value) : OrderedJson();
  }
  template <class T>
  void operator()(const char* key, const T& value, const char* words) {
    (*this)(key, value, words, fmt::format("{}", value));
  }
  template <class T>
  void operator()(const char* key, const T& value, const char* words, const std::string& shown) {
    json[key] = value;
    Row(words, shown);
  }
  void Row(const char* words, const std::string& shown) {
    text += fmt::format("{:<12} {}\n", words, shown);
  }
};

}  // namespace lorikeet
